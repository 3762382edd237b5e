"""The size of what a model sees: the side of a square, or a height and a width."""

import re
from typing import Any

ImageSize = int | tuple[int, int]


def height_and_width(image_size: ImageSize) -> tuple[int, int]:
    """Returns the height and width of images of a size.

    Args:
        image_size: side of a square, or (height, width), in pixels.
    """
    if isinstance(image_size, int):
        return image_size, image_size
    height, width = image_size
    return height, width


# A side from which on no machine has the memory for all levels.
_LARGEST_SIDE = 2**14


def checked_image_size(image_size: Any) -> ImageSize:
    """Returns an image size in one form: of a square its side, else a tuple.

    Args:
        image_size: what a user gave.

    Raises:
        ValueError: if it is neither an integer nor two.
    """
    sides = (image_size,) if not isinstance(image_size, list | tuple) else image_size
    # NumPy's integers too, but not True and no 256.5.
    whole = [
        hasattr(side, "__index__") and not isinstance(side, bool) for side in sides
    ]
    if len(sides) not in (1, 2) or not all(whole):
        raise ValueError(
            "image_size must be an integer, the side of a square in pixels, or "
            f"(height, width), but it is {image_size!r}."
        )
    height, width = int(sides[0]), int(sides[-1])
    return height if height == width else (height, width)


def possible_image_size(image_size: Any) -> ImageSize:
    """Returns an image size as `checked_image_size` does, if a model can be of it.

    Args:
        image_size: what a user gave.

    Raises:
        ValueError: if it is no size, or a side is not from 1 to 16384 pixels.
    """
    checked = checked_image_size(image_size)
    sides = height_and_width(checked)
    if min(sides) < 1 or max(sides) > _LARGEST_SIDE:
        raise ValueError(
            f"image_size must be from 1 to {_LARGEST_SIDE} pixels, but it is "
            f"{image_size!r}."
        )
    return checked


def image_size_in_words(image_size: ImageSize) -> str:
    """Returns a size as the command line takes it: "256", "256x640"."""
    if isinstance(image_size, int):
        return str(image_size)
    return "x".join(map(str, image_size))


def image_size_from_words(words: str) -> ImageSize:
    """Returns the size of "256" or "256x640", height x width.

    Args:
        words: what a user wrote.

    Raises:
        ValueError: if it is neither.
    """
    found = re.fullmatch(r"\s*(\d{1,5})(?:\s*[xX]\s*(\d{1,5}))?\s*", words, re.ASCII)
    if not found:
        raise ValueError(
            f"{words!r} is no image size. Expected the side of a square in pixels "
            "(256), or height x width (256x640)."
        )
    height, width = found[1], found[2] or found[1]
    return checked_image_size((int(height), int(width)))
