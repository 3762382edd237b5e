"""Checks on levels, image sizes and feature maps, with errors that help."""

import math
from collections.abc import Sequence
from typing import Any

from keras_rlr.backbones.levels import Level
from keras_rlr.image_size import ImageSize, checked_image_size, height_and_width


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


def check_rebuilt(
    input_shape: Any,
    outputs: Sequence[Any],
    levels: Sequence[Level],
    image_size: ImageSize,
) -> None:
    """Refuses a backbone of a file that doesn't fit the levels and size beside it.

    Args:
        input_shape: of its images.
        outputs: its outputs.
        levels: the levels it was created with.
        image_size: the image size it was created with.

    Raises:
        ValueError: if they contradict each other.
    """
    sides = tuple(input_shape[1:3])
    pairs = zip(sides, height_and_width(image_size), strict=True)
    fits = all(side in (None, wanted) for side, wanted in pairs)
    if len(outputs) != len(levels) or not fits:
        raise ValueError(
            f"The backbone has {len(outputs)} maps of images of {sides} pixels, and "
            f"the model the levels {tuple(levels)} and images of {image_size}. They "
            "belong to different models."
        )


def check_image_size(image_size: ImageSize, strides: Sequence[int], name: str) -> None:
    """Refuses an image size that the strides don't divide.

    Args:
        image_size: side of a square or (height, width), in pixels.
        strides: pixels per token of each feature map.
        name: the backbone's name, for the message.

    Raises:
        ValueError: if a stride doesn't divide `image_size`; it names the
            nearest sizes that work.
    """
    image_size = checked_image_size(image_size)
    sides = height_and_width(image_size)
    step = math.lcm(*strides)
    if any(side < step or side % step for side in sides):
        below = [max(side // step, 1) * step for side in sides]
        above = [-(-side // step) * step for side in sides]
        near = dict.fromkeys(str(checked_image_size(size)) for size in (below, above))
        raise ValueError(
            f"image_size={image_size} is not a positive multiple of the strides "
            f"{tuple(strides)} of the backbone '{name}'. Use "
            f"image_size={' or '.join(near)}."
        )


def check_feature_maps(
    outputs: Sequence[Any], image_size: ImageSize, name: str
) -> None:
    """Refuses outputs that aren't (B, H, W, C) maps of the whole image.

    Args:
        outputs: tensors, symbolic or not; only their shapes are read.
        image_size: side of a square or (height, width), in pixels.
        name: the backbone's name, for the message.

    Raises:
        ValueError: if an output isn't of rank 4, has no static height, width
            or channels, if its stride doesn't divide `image_size`, or is another
            along the height than along the width.
    """
    height, width = height_and_width(image_size)
    for position, output in enumerate(outputs, start=1):
        shape = tuple(output.shape)
        if len(shape) != 4 or None in shape[1:]:
            raise ValueError(
                f"Output {position} of the backbone '{name}' has the shape {shape} "
                f"for images of {height}x{width} pixels. Expected a "
                "feature map (batch, height, width, channels) with known height, "
                "width and channels."
            )
    pairs = [
        pair
        for output in outputs
        for pair in zip((height, width), output.shape[1:3], strict=True)
    ]
    if any(pixels % side for pixels, side in pairs):
        sides = [side for _, side in pairs]
        # "Same" padding rounds a side up, so the true stride is the next power of two.
        strides = sorted({2 ** math.ceil(math.log2(p / side)) for p, side in pairs})
        check_image_size(image_size, strides, name)
        raise ValueError(
            f"The backbone '{name}' returns maps with sides {sorted(set(sides))} for "
            f"image_size={image_size}, which they do not divide. Expected maps that "
            "cover the image in whole strides: use 'same' padding in the backbone."
        )
    for position, output in enumerate(outputs, start=1):
        if height * output.shape[2] != width * output.shape[1]:
            raise ValueError(
                f"Output {position} of the backbone '{name}' has the shape "
                f"{tuple(output.shape)} for images of {height}x{width} pixels. "
                "Expected a map of the same proportions."
            )
