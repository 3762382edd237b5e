"""Masks of defects, resized the way they are compared with anomaly maps."""

from typing import Any

import numpy as np

from keras_rlr.image_size import ImageSize, height_and_width
from keras_rlr.inputs.images import to_array
from keras_rlr.inputs.pillow_images import is_pillow, palette_contradiction
from keras_rlr.inputs.value_ranges import is_float


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes an array (h, w) by nearest neighbour at pixel centres.

    Where a new pixel's centre lies between two old ones, it takes the later one.
    """
    # Integers: (i + 1/2) * source / size, rounded down, without a rounding error.
    rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
    return mask[rows[:, None], columns]


def to_small_mask(mask: Any, size: ImageSize) -> np.ndarray:
    """Resizes a mask by nearest neighbour at pixel centres.

    A smooth resize would need a cut-off of its own and move the borders.

    Args:
        mask: Array (height, width) or (height, width, 1), above 0 where anomalous.
        size: Side of a square result, or its height and width.

    Returns:
        Boolean array (height, width).

    Raises:
        ValueError: If it is no mask, see `to_mask`.
    """
    return resize_mask(to_mask(mask), *height_and_width(size)) > 0


def to_mask(mask: Any) -> np.ndarray:
    """Returns a mask as an array (height, width) of numbers.

    Args:
        mask: Array (height, width) or (height, width, 1) of any library.

    Raises:
        ValueError: If the shape is another, or a value is NaN, below 0 or no number.
    """
    if is_pillow(mask) and (contradiction := palette_contradiction(mask)):
        raise ValueError(f"A mask {contradiction}")
    mask = to_array(mask)
    if mask.ndim == 3 and mask.shape[-1] == 1:
        mask = mask[..., 0]
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(
            "A mask must be (height, width), or (height, width, 1). Received shape "
            f"{mask.shape}."
        )
    if not (mask.dtype.kind in "biu" or is_float(mask)):
        raise ValueError(
            "A mask must be of numbers, above 0 where something is marked. Received "
            f"dtype {mask.dtype}."
        )
    refuse_nan(mask)
    if mask.dtype.kind not in "bu" and mask.min() < 0:
        raise ValueError(
            f"A mask has the value {mask.min():g}, below 0. Masks are above 0 where "
            "something is marked and 0 elsewhere: give those of 8 bits as uint8, and "
            "say of what is to be ignored which of them it is."
        )
    return mask


def refuse_nan(mask: np.ndarray) -> None:
    """Refuses a mask that is NaN somewhere: is that marked, or not?

    Raises:
        ValueError: If there is one.
    """
    if is_float(mask) and (unknown := int(np.isnan(mask).sum())):
        raise ValueError(
            f"{unknown} of the {mask.size} values of a mask are NaN. Masks are above 0 "
            "where something is marked and 0 elsewhere: say which of them NaN is, as "
            "by np.nan_to_num(mask)."
        )
