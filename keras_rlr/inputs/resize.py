"""The one resize of the package: bilinear, antialiased, half-pixel centres, float32.

A linear resize of rows and columns is two matrix products, which every backend and
every export format has, with the same result everywhere.
"""

import functools

import numpy as np


@functools.lru_cache(maxsize=64)
def resize_weights(source, target):
    """Matrix (target, source), float32, that resizes a line of `source` values.

    A triangle filter whose half-width is the larger of one source pixel and one
    target pixel, normalised at the borders: what Pillow calls BILINEAR and
    TensorFlow bilinear with `antialias=True`.
    """
    scale = source / target
    centre = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centre[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
    weights.flags.writeable = False
    return weights


def resize_images(images, size):
    """Resizes on the host.

    Args:
        images: float32 array (..., height, width, channels).
        size: Side of the square result; the aspect ratio is not kept.

    Returns:
        float32 array (..., size, size, channels).
    """
    height, width, channels = images.shape[-3:]
    if height != size:
        rows = resize_weights(height, size)
        flat = images.reshape(*images.shape[:-3], height, width * channels)
        images = np.matmul(rows, flat)
        images = images.reshape(*images.shape[:-1], width, channels)
    if width != size:
        images = np.matmul(resize_weights(width, size), images)
    return images


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
        rows = resize_weights(values.shape[0], int(height))
        columns = resize_weights(values.shape[1], int(width))
        resized.append(rows @ values @ columns.T)
    return resized
