"""Bins for scores of any range: floats that share their leading bits.

Bits of a float32 order like the number itself, so a fixed number of them is a bin of
a fixed relative width, whatever the range: 20 bits keep 11 of the 23 of the mantissa,
a width of 1/2048 of the value.
"""

from typing import Any

import numpy as np

LOWEST_RESOLUTION = 10
HIGHEST_RESOLUTION = 24


def check_resolution(resolution: int) -> int:
    """Returns a resolution, or raises a ValueError if it is out of range."""
    if resolution not in range(LOWEST_RESOLUTION, HIGHEST_RESOLUTION + 1):
        raise ValueError(
            f"`resolution` must be a whole number of bits from {LOWEST_RESOLUTION} to "
            f"{HIGHEST_RESOLUTION}. Received: {resolution!r}."
        )
    return int(resolution)


def bin_index(bits: Any, resolution: int, where: Any) -> Any:
    """The bin of each score: an integer in [0, 2^resolution), ascending with it.

    Args:
        bits: int32 array or tensor, the bits of float32 scores; not those of -0.
        resolution: How many leading bits make a bin.
        where: `numpy.where` or `keras.ops.where`.

    Returns:
        int32, of the shape of `bits`.
    """
    # Negative floats have descending bits; -1 follows them, where 0 begins.
    ordered = where(bits < 0, -(bits + 2147483647) - 2, bits)
    return ordered // (1 << (32 - resolution)) + (1 << (resolution - 1))


def lower_edge(index: int, resolution: int) -> float:
    """The smallest float32 of a bin.

    Args:
        index: The bin, an integer.
        resolution: How many leading bits make a bin.

    Returns:
        Python float.
    """
    ordered = (int(index) - (1 << (resolution - 1))) << (32 - resolution)
    bits = ordered if ordered >= 0 else -(ordered + 2) - 2147483647
    return float(np.array(bits, "int32").view("float32"))
