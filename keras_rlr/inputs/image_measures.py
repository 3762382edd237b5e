"""What can be measured of any image, by which a change of light or focus is seen.

Detectors are meant to bear a lamp that varies, so their scores hardly tell of one that
fades. These measures do, and mean the same for every method.
"""

import math
from typing import Any

import numpy as np

from keras_rlr.inputs.resized_image import ResizedImage

MEASURES = ("brightness", "sharpness")

# Of larger images evenly spaced bands are looked at, of so many pixels in all.
_MOST_PIXELS = 2**22
_BAND_ROWS = 64
# Decimals; a table's text and a model's file then say the same.
_DECIMALS = 6


def measure_image(image: ResizedImage, inside: Any = None) -> dict[str, float]:
    """Measures an image as a model sees it.

    Args:
        image: The image at the model's size. Of more than 4 million pixels evenly
            spaced bands of rows are measured.
        inside: Boolean array of the image's size, where to look; None for everywhere.

    Returns:
        Dict: "brightness", the mean of its values, from 0 (black) to 1 (white), and
        "sharpness", by how much neighbouring pixels differ (root mean square), in
        standard deviations of the pixels, both of the image in grey, the mean of its
        channels: a lamp does not move it, a lens out of focus does. It is 0 of an
        image of one grey.

    Example:

    >>> from keras_rlr.inputs.value_ranges import ValueRanges
    >>> stripes = np.zeros((4, 4, 3), "float32")
    >>> stripes[:, ::2] = 255
    >>> measure_image(ResizedImage(stripes, (4, 4, 3), ValueRanges()))
    {'brightness': 0.5, 'sharpness': 1.414214}
    """
    height, width = _size(image, inside)
    total = squares = pixels = differences = pairs = 0.0
    for top, rows in _bands(height, width):
        grey = image.part(top, 0, rows, width).mean(axis=-1, dtype="float64")
        where = None if inside is None else inside[top : top + rows]
        values = grey if where is None else grey[where]
        total += values.sum()
        squares += np.square(values).sum()
        pixels += values.size
        for axis in (0, 1):
            steps = np.diff(grey, axis=axis)
            if where is not None:
                steps = steps[_both(where, axis)]
            differences += np.square(steps).sum()
            pairs += steps.size
    pixels = max(pixels, 1)  # A region may lie between all bands.
    mean = total / pixels
    variance = squares / pixels - mean * mean
    sharpness = 0.0
    # Of one colour but for rounding.
    if pairs and variance > 1e-9 * max(mean * mean, 1.0):
        sharpness = math.sqrt(differences / pairs / variance)
    return {
        "brightness": round(float(mean) / 255, _DECIMALS),
        "sharpness": round(sharpness, _DECIMALS),
    }


def _size(image, inside):
    if inside is not None:
        return inside.shape
    # A large image's pixels are not to be made to learn their number.
    return getattr(image, "size", None) or image.pixels.shape[:2]


def _bands(height, width):
    """Pairs of first row and number of rows."""
    count = _MOST_PIXELS // (_BAND_ROWS * width)
    if height * width <= _MOST_PIXELS or count < 1:
        return [(0, height)]
    tops = np.linspace(0, height - _BAND_ROWS, count).astype(int)
    return [(int(top), _BAND_ROWS) for top in tops]


def _both(where, axis):
    """Whether both of neighbouring pixels are looked at."""
    if axis == 0:
        return where[1:] & where[:-1]
    return where[:, 1:] & where[:, :-1]
