"""The one resize of the package: bilinear, antialiased, half-pixel centres, float32.

A linear resize of rows and columns is two matrix products. On the host they are
sparse; in a graph they are dense, which every backend and every export format has.
"""

import functools

import numpy as np

from keras_rlr.image_size import height_and_width

# Rows are converted and resized in parts of so many bytes, which fit in a cache.
_PART_BYTES = 2**20
# Pixels of a map that are resized at a time.
_MAP_PART = 2**21


@functools.lru_cache(maxsize=64)
def resize_weights(source, target):
    """Matrix (target, source), float32, that resizes a line of `source` values.

    A triangle filter whose half-width is the larger of one source pixel and one
    target pixel, normalised at the borders: what Pillow calls BILINEAR and
    TensorFlow bilinear with `antialias=True`.
    """
    weights = sparse_resize_weights(source, target).toarray()
    weights.flags.writeable = False
    return weights


@functools.lru_cache(maxsize=64)
def sparse_resize_weights(source, target):
    """`resize_weights` as a `scipy.sparse.csr_array`: most of them are 0."""
    from scipy.sparse import csr_array

    scale = source / target
    half = max(scale, 1.0)
    centre = ((np.arange(target) + 0.5) * scale)[:, None]
    # All pixels that the triangle may touch, and one more on each side.
    width = int(np.ceil(2 * half)) + 2
    pixels = np.floor(centre - half).astype(int) + np.arange(width)
    weights = np.maximum(0.0, 1.0 - np.abs(pixels + 0.5 - centre) / half)
    weights[(pixels < 0) | (pixels >= source)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    rows, columns = np.nonzero(weights)
    entries = weights[rows, columns].astype("float32")
    return csr_array((entries, (rows, pixels[rows, columns])), shape=(target, source))


def resize_images(images, size):
    """Resizes on the host.

    Args:
        images: Array (..., height, width, channels) of numbers of any type. It is
            never held as float32 as a whole.
        size: Side of a square result, or its height and width; the aspect ratio is
            not kept.

    Returns:
        float32 array (..., height, width, channels).
    """
    height, width = height_and_width(size)
    if images.shape[-3:-1] == (height, width):
        return images.astype("float32")
    leading, channels = images.shape[:-3], images.shape[-1]
    resized = np.empty((*leading, height, width, channels), "float32")
    rows = sparse_resize_weights(images.shape[-3], height)
    columns = sparse_resize_weights(images.shape[-2], width)
    for position in np.ndindex(leading):
        _resize_into(resized[position], images[position], rows, columns)
    return resized


def resize_to_part(image, size, top, left, height, width):
    """Returns a part of what `resize_images` would, without the rest of it.

    Args:
        image: Array (height, width, channels) of numbers of any type.
        size: Height and width of the whole result.
        top: First row of the part.
        left: First column of the part.
        height: Rows of the part.
        width: Columns of the part.

    Returns:
        float32 array (height, width, channels).
    """
    rows = sparse_resize_weights(image.shape[0], size[0])[top : top + height]
    columns = sparse_resize_weights(image.shape[1], size[1])[left : left + width]
    first, last = columns.indices.min(), columns.indices.max() + 1
    part = np.empty((height, width, image.shape[2]), "float32")
    _resize_into(part, image[:, first:last], rows, columns[:, first:last])
    return part


def _resize_into(resized, image, rows, columns):
    height, width = resized.shape[:2]
    part = max(1, int(height * _PART_BYTES / (4 * image.size)))
    for start in range(0, height, part):
        some = rows[start : start + part]
        first, last = some.indices.min(), some.indices.max() + 1
        pixels = image[first:last].astype("float32").reshape(last - first, -1)
        # Columns last, but first of the axes: the sparse matrix has to be on the left.
        lines = (some[:, first:last] @ pixels).reshape(-1, *image.shape[1:])
        lines = lines.swapaxes(0, 1).reshape(image.shape[1], -1)
        lines = (columns @ lines).reshape(width, -1, image.shape[2])
        resized[start : start + part] = lines.swapaxes(0, 1)


def resize_maps(maps, sizes):
    """Resizes anomaly maps to the sizes of their images.

    Args:
        maps: float32 array (images, side, side).
        sizes: (height, width) of each image.

    Returns:
        List of float32 arrays (height, width).
    """
    resized = []
    for values, (height, width) in zip(maps, sizes, strict=True):
        rows = sparse_resize_weights(values.shape[0], int(height))
        columns = sparse_resize_weights(values.shape[1], int(width))
        resized.append(_resize_map(values, rows, columns))
    return resized


def _resize_map(values, rows, columns):
    part = max(1, _MAP_PART // max(columns.shape))
    if part >= rows.shape[0]:
        return rows @ (columns @ values.T).T
    # SciPy copies what it multiplies: of a large map a part at a time.
    resized = np.empty((rows.shape[0], columns.shape[0]), "float32")
    for start in range(0, len(resized), part):
        some = rows[start : start + part]
        first, last = some.indices.min(), some.indices.max() + 1
        lines = (columns @ values[first:last].T).T
        resized[start : start + part] = some[:, first:last] @ lines
    return resized
