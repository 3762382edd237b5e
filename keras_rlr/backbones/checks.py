"""Checks on levels, image sizes and feature maps, with errors that help."""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

from keras_rlr.backbones.levels import Level


def check_levels(
    levels: Sequence[Level], name: str, available: Sequence[int]
) -> tuple[int, ...]:
    """Returns the levels; refuses those unsorted, repeated or not in the backbone.

    Args:
        levels: 1-based level numbers; groups of them are refused.
        name: the backbone's name, for the message.
        available: the levels that the backbone has.

    Raises:
        ValueError: if `levels` isn't a strictly increasing selection of
            `available`.
    """
    numbers = tuple(
        level
        for level in levels
        if isinstance(level, int) and not isinstance(level, bool)
    )
    if not levels or len(numbers) != len(levels):
        raise ValueError(
            f"levels must be one or more integers, but they are {levels!r}. "
            f"'{name}' has the levels {list(available)}; groups of blocks are for "
            "vision transformers."
        )
    missing = [level for level in numbers if level not in available]
    if missing:
        raise ValueError(
            f"The backbone '{name}' has no level {missing[0]}; it has the levels "
            f"{list(available)}. Choose `levels` among them."
        )
    if list(numbers) != sorted(set(numbers)):
        raise ValueError(
            f"levels must be strictly increasing, from fine to coarse, but they "
            f"are {numbers}. Write {tuple(sorted(set(numbers)))} instead."
        )
    return numbers


# A side from which on no machine has the memory for all levels.
_LARGEST_SIDE = 2**14


def check_side(image_size: Any, least: float = 1) -> None:
    """Refuses what is no side of an image in pixels.

    Args:
        image_size: what is to be the side of the square image.
        least: the least that it may be.

    Raises:
        ValueError: if it isn't an integer from 1 to 16384.
    """
    is_integer = isinstance(image_size, Integral) and not isinstance(image_size, bool)
    if not is_integer or not least <= image_size <= _LARGEST_SIDE:
        raise ValueError(
            "image_size must be an integer from 1 to "
            f"{_LARGEST_SIDE}, the side of the square image in pixels, but it is "
            f"{image_size!r}."
        )


def check_rebuilt(
    input_shape: Any, outputs: Sequence[Any], levels: Sequence[Level], size: int
) -> None:
    """Refuses a backbone of a file that doesn't fit the levels and size beside it.

    Args:
        input_shape: of its images.
        outputs: its outputs.
        levels: the levels it was created with.
        size: the image size it was created with.

    Raises:
        ValueError: if they contradict each other.
    """
    sides = list(input_shape[1:3])
    if len(outputs) != len(levels) or any(side not in (None, size) for side in sides):
        raise ValueError(
            f"The backbone has {len(outputs)} maps of images of {sides} pixels, and "
            f"the model the levels {tuple(levels)} and images of {size}. They "
            "belong to different models."
        )


def check_image_size(image_size: int, strides: Sequence[int], name: str) -> None:
    """Refuses an image size that the strides don't divide.

    Args:
        image_size: side of the square image, in pixels.
        strides: pixels per token of each feature map.
        name: the backbone's name, for the message.

    Raises:
        ValueError: if a stride doesn't divide `image_size`; it names the
            nearest sizes that work.
    """
    check_side(image_size, least=-math.inf)
    step = math.lcm(*strides)
    if image_size < step or image_size % step:
        below = image_size // step * step
        near = [str(size) for size in (below, below + step) if size > 0]
        raise ValueError(
            f"image_size={image_size} is not a positive multiple of the strides "
            f"{tuple(strides)} of the backbone '{name}'. Use "
            f"image_size={' or '.join(near)}."
        )


def check_feature_maps(outputs: Sequence[Any], image_size: int, name: str) -> None:
    """Refuses outputs that aren't square (B, H, W, C) maps of the whole image.

    Args:
        outputs: tensors, symbolic or not; only their shapes are read.
        image_size: side of the square image, in pixels.
        name: the backbone's name, for the message.

    Raises:
        ValueError: if an output isn't of rank 4, has no static height, width
            or channels, or if its stride doesn't divide `image_size`.
    """
    for position, output in enumerate(outputs, start=1):
        shape = tuple(output.shape)
        if len(shape) != 4 or None in shape[1:]:
            raise ValueError(
                f"Output {position} of the backbone '{name}' has the shape {shape} "
                f"for images of {image_size}x{image_size} pixels. Expected a "
                "feature map (batch, height, width, channels) with known height, "
                "width and channels."
            )
    if any(image_size % side for output in outputs for side in output.shape[1:3]):
        sides = [side for output in outputs for side in output.shape[1:3]]
        # "Same" padding rounds a side up, so the true stride is the next power of two.
        strides = sorted({2 ** math.ceil(math.log2(image_size / s)) for s in sides})
        check_image_size(image_size, strides, name)
        raise ValueError(
            f"The backbone '{name}' returns maps with sides {sorted(set(sides))} for "
            f"image_size={image_size}, which they do not divide. Expected maps that "
            "cover the image in whole strides: use 'same' padding in the backbone."
        )
    for position, output in enumerate(outputs, start=1):
        if output.shape[1] != output.shape[2]:
            raise ValueError(
                f"Output {position} of the backbone '{name}' has the shape "
                f"{tuple(output.shape)} for a square image. Expected a square map."
            )
