"""The one resize of the package: bilinear, antialiased, half-pixel centres, float32.

A linear resize of rows and columns is two matrix products. On the host they are
sparse; in a graph they are dense, which every backend and every export format has.
"""

import functools

import numpy as np

# Rows are converted and resized in parts of so many bytes, which fit in a cache.
_PART_BYTES = 2**20


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
        size: Side of the square result; the aspect ratio is not kept.

    Returns:
        float32 array (..., size, size, channels).
    """
    height, width, channels = images.shape[-3:]
    if (height, width) == (size, size):
        return images.astype("float32")
    resized = np.empty((*images.shape[:-3], size, size, channels), "float32")
    for position in np.ndindex(images.shape[:-3]):
        _resize_into(resized[position], images[position])
    return resized


def _resize_into(square, image):
    size = len(square)
    height, width, channels = image.shape
    rows = sparse_resize_weights(height, size)
    columns = sparse_resize_weights(width, size)
    part = max(1, int(size * _PART_BYTES / (4 * image.size)))
    for start in range(0, size, part):
        some = rows[start : start + part]
        first, last = some.indices.min(), some.indices.max() + 1
        pixels = image[first:last].astype("float32").reshape(last - first, -1)
        lines = some[:, first:last] @ pixels
        # Columns first, because the sparse matrix has to be on the left.
        lines = lines.reshape(-1, width, channels).swapaxes(0, 1).reshape(width, -1)
        resized = (columns @ lines).reshape(size, -1, channels)
        square[start : start + part] = resized.swapaxes(0, 1)


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
        resized.append(rows @ (columns @ values.T).T)
    return resized
