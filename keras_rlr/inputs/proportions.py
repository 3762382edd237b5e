"""Images whose proportions a model changes, as it brings them to its own size."""

import warnings
from typing import Any

import numpy as np

from keras_rlr.inputs.image_source import ImageSource

# VisA's images, of up to 3:2, are brought to a square by all who publish figures of it.
_MOST = 1.5
# What backbones divide a side by: convolutions, and patches of 14 pixels.
_STRIDES = (32, 28, 16, 14, 8)


def announce_changed_proportions(
    source: ImageSource, map_size: tuple[int, int], in_tiles: bool = False
) -> None:
    """Warns where training images are pressed or stretched by more than half.

    The first, the middle and the last image of folders, arrays and lists are looked at;
    others would have to be read once more. Nothing is said where not all three are
    pressed in the same direction: no other size would suit them all.

    Args:
        source: The training images.
        map_size: (height, width) that a model brings images to.
        in_tiles: Whether it looks at them in tiles.
    """
    shapes = _some_shapes(source)
    changes = [height / width * map_size[1] / map_size[0] for height, width in shapes]
    is_wider = all(change > _MOST for change in changes)
    if not changes or not (is_wider or all(c < 1 / _MOST for c in changes)):
        return
    height, width = sorted(shapes, key=lambda s: s[0] / s[1])[len(shapes) // 2]
    change = sorted(changes)[len(changes) // 2]
    if in_tiles:
        advice = "Rows and columns of tiles in the images' own proportions keep them."
    else:
        better = _kept_proportions(height / width, map_size)
        times = better[0] * better[1] / (map_size[0] * map_size[1])
        advice = (
            f"image_size={better} (--image-size {better[0]}x{better[1]}) keeps their "
            f"proportions, for about {times:.2g} times the work; measured on such "
            "parts, it found more."
        )
    warnings.warn(
        f"Images of {height}x{width} pixels (height x width) are brought to "
        f"{map_size[0]}x{map_size[1]}: what they show becomes "
        f"{max(change, 1 / change):.2g} times as {'wide' if is_wider else 'high'}. "
        f"{advice}",
        stacklevel=4,
    )


def _some_shapes(source):
    data: Any = source.data
    if hasattr(data, "image_shape"):
        shape_of = data.image_shape
    elif type(data) in (np.ndarray, list, tuple):
        # What is no image is refused where it is looked at, in words of its own.
        def shape_of(index):
            return getattr(source.read(index)["image"], "shape", ())[:2]
    else:
        return []
    count = len(data)
    some = {0, count // 2, count - 1} if count else ()
    shapes = [shape_of(index) for index in some]
    return [shape for shape in shapes if len(shape) == 2 and all(shape)]


def _kept_proportions(proportion, map_size):
    """(height, width) that keeps the shorter side, or its own if it is one already."""
    stride = next(
        (each for each in _STRIDES if not (map_size[0] % each or map_size[1] % each)), 1
    )
    short = min(map_size)
    long = short * max(proportion, 1 / proportion)
    sides = (short, max(stride, round(long / stride) * stride))
    return sides[::-1] if proportion > 1 else sides
