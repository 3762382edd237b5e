"""Geometry of token windows: which tokens of a grid lie in the window of which."""

import functools
import numbers
from typing import Any

import numpy as np


def known_grid(shape: Any) -> tuple[int, ...]:
    """Returns (height, width, channels) of tokens, which a grid's weights depend on.

    Args:
        shape: Shape (batch, height, width, channels).

    Raises:
        ValueError: If it is another one, or one of the three is not known.
    """
    shape = tuple(shape)
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            "Height, width and channels must be known, of tensors (batch, height, "
            f"width, channels). Received a tensor of shape {shape}."
        )
    return shape[1:]


def validate_window(window: Any) -> int:
    """Returns `window` as an int.

    Args:
        window: Side of the square window in tokens: odd, at least 1.

    Raises:
        ValueError: If it is even, not positive or not an integer.
    """
    is_integer = isinstance(window, numbers.Integral) and not isinstance(window, bool)
    if not is_integer or window < 1:
        raise ValueError(
            f"`window` must be an odd integer of at least 1. Received: {window!r}."
        )
    if window % 2 == 0:
        raise ValueError(
            f"`window` must be odd, so that a token is in the middle of its window. "
            f"Received: {window}; use {window - 1} or {window + 1}."
        )
    return int(window)


def window_hides_grid(height: int, width: int, window: int) -> bool:
    """Whether some token's window covers the whole grid of `height` x `width`.

    Such a token would have nothing left to attend to when its window is hidden.
    """
    return height <= window and width <= window


@functools.lru_cache(maxsize=32)
def window_mask(height: int, width: int, window: int, keys: int = 1) -> np.ndarray:
    """Which tokens lie in the window around which token, clipped at the borders.

    Args:
        height: Rows of the token grid.
        width: Columns of the token grid.
        window: Odd side of the window.
        keys: Tokens j at each place; those of one place follow each other.

    Returns:
        Boolean array (height * width, height * width * keys), tokens row-major: entry
        (i, j) says whether token j lies in the window around token i. Read-only.
    """
    radius = window // 2
    rows = np.abs(np.subtract.outer(np.arange(height), np.arange(height))) <= radius
    columns = np.abs(np.subtract.outer(np.arange(width), np.arange(width))) <= radius
    mask = rows[:, None, :, None] & columns[None, :, None, :]
    mask = mask.reshape(height * width, height * width)
    mask = np.repeat(mask, keys, axis=1)
    mask.flags.writeable = False
    return mask
