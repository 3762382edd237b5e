"""Images of Pillow to arrays: one rule for files and for what users open themselves."""

import sys
from typing import Any

import numpy as np

# Pixels from which on an image counts in memory, and rows that are copied at once.
_LARGE = 2**22
_STRIP = 256

# What becomes of each of Pillow's modes; `None` keeps the pixels as they are.
_CONVERSIONS = {
    "L": None,
    "LA": None,
    "RGB": None,
    "RGBA": None,
    "I;16": None,
    "I;16L": None,
    "I;16B": None,
    "I;16N": None,
    "1": "L",
    "La": "LA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}


def is_pillow(value: Any) -> bool:
    """Whether a value is an image of Pillow, which need not be installed."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def given_to_array(image: Any) -> np.ndarray:
    """The pixels of an image of Pillow that a user gave.

    Floats, which no file of `read_image` has, stay what they are.

    Raises:
        ValueError: If it can't be read.
    """
    if image.mode == "F":
        return np.array(image)[..., None]
    try:
        return image_to_array(image)
    # Damaged files that were opened make Pillow raise nearly anything.
    except Exception as error:
        raise ValueError(
            f"Received an image of Pillow (mode '{image.mode}') that can't be read: "
            f"{error}. Give one of 8 bits a channel or 16-bit grey, as by "
            "image.convert('RGB')."
        ) from error


def image_to_array(image: Any) -> np.ndarray:
    """The pixels of an image of Pillow, as `keras_rlr.datasets.read_image` has them.

    Raises:
        ValueError: If they are of a kind that has no meaning here.
    """
    if image.mode == "P":
        _check_palette(image)
        mode = "RGBA" if "transparency" in image.info else "RGB"
        image = image.convert(mode)
    elif image.mode == "I":
        return _to_uint16(np.asarray(image))
    elif image.mode not in _CONVERSIONS:
        raise ValueError(f"its pixels are of an unsupported kind ('{image.mode}')")
    elif _CONVERSIONS[image.mode]:
        image = image.convert(_CONVERSIONS[image.mode])
    array = _pixels(image)
    if array.dtype.itemsize == 2:
        array = array.astype(np.uint16)
    return array if array.ndim == 3 else array[..., None]


def _check_palette(image: Any) -> None:
    # Pillow would paint them black.
    brightest = image.getextrema()[1]
    colours = 0
    if image.palette is not None:
        colours = len(image.palette.palette) // len(image.palette.mode)
    if brightest >= colours:
        raise ValueError(
            f"its pixels name the colour {brightest}, and its palette has {colours}"
        )


def palette_contradiction(image: Any) -> str:
    """What speaks against taking the indices of an image of Pillow for a mask's values.

    Args:
        image: The image; its pixels are read.

    Returns:
        The rest of a sentence that begins with its name, where an index above 0 is
        black and index 0 is not; else "".
    """
    if image.mode != "P" or image.palette is None:
        return ""
    image.load()
    colours, channels = bytes(image.palette.palette), len(image.palette.mode)
    black = min(
        (
            index
            for _, index in image.getcolors(256)
            if colours[channels * index :][:3] == b"\0\0\0"
        ),
        default=0,
    )
    if not black:
        return ""
    return (
        f"is black where its index in the palette is {black}, and indices above 0 are "
        "marked: what it shows and what it says are each other's opposite. Programs "
        "that reduce colours give indices in any order. Save masks as grey, 0 where "
        "nothing is marked, as by Pillow's convert('L')."
    )


def _pixels(image: Any) -> np.ndarray:
    """The pixels as an array that can be written to."""
    if not _is_large(image):
        return np.array(image)
    # In strips, because Pillow makes two copies of what it converts.
    first = np.asarray(image.crop((0, 0, image.width, 1)))
    array = np.empty((image.height, *first.shape[1:]), first.dtype)
    for start in range(0, image.height, _STRIP):
        stop = min(start + _STRIP, image.height)
        array[start:stop] = np.asarray(image.crop((0, start, image.width, stop)))
    return array


def _is_large(image: Any) -> bool:
    return image.width * image.height > _LARGE


def _to_uint16(array: np.ndarray) -> np.ndarray:
    """32-bit pixels, as older Pillows give 16-bit PNGs too."""
    if array.min() < 0 or array.max() > np.iinfo(np.uint16).max:
        raise ValueError("its 32-bit pixels don't fit in 16 bits")
    return array.astype(np.uint16)[..., None]
