"""Images whose proportions a model changes, as it brings them to its own size."""

import warnings
from typing import Any

import numpy as np

from keras_rlr.inputs.image_source import ImageSource

# VisA's images, of up to 3:2, are brought to a square by all who publish figures of it.
_MOST = 1.5
# Of as many images, spread over all, so that each of some products is among them.
_LOOKED_AT = 16
# What backbones divide a side by: convolutions, and patches of 14 pixels.
_STRIDES = (32, 28, 16, 14, 8)


def announce_changed_proportions(
    source: ImageSource,
    map_size: tuple[int, int],
    in_tiles: bool = False,
    is_turned: bool = False,
) -> None:
    """Warns where training images are pressed or stretched by more than half.

    Sixteen images of folders, arrays and lists are looked at; others would have to be
    read once more.

    Args:
        source: The training images.
        map_size: (height, width) that a model brings images to.
        in_tiles: Whether it looks at them in tiles.
        is_turned: Whether it turns them by quarters, which needs squares.
    """
    shapes = _some_shapes(source)
    # By how much wider what they show becomes; below 1, higher.
    changes = [height / width * map_size[1] / map_size[0] for height, width in shapes]
    order = sorted(range(len(shapes)), key=changes.__getitem__)
    changed = [i for i in order if not 1 / _MOST <= changes[i] <= _MOST]
    if not changed:
        return
    middle = changed[len(changed) // 2]
    (height, width), change = shapes[middle], changes[middle]
    together = changes[order[0]] > _MOST or changes[order[-1]] < 1 / _MOST
    warnings.warn(
        f"Of {len(shapes)} training images that were looked at, {len(changed)} have "
        f"other proportions than {map_size[0]}x{map_size[1]} (height x width), which "
        f"they are brought to: what one of {height}x{width} pixels shows becomes "
        f"{max(change, 1 / change):.2g} times as {'wide' if change > 1 else 'high'}. "
        f"{_advice(height / width, map_size, in_tiles, is_turned, together)}",
        stacklevel=4,
    )


def _advice(proportion, map_size, in_tiles, is_turned, together):
    if not together:
        return (
            "No one size keeps the proportions of all: a model for products of like "
            "proportions does."
        )
    if in_tiles:
        return "Rows and columns of tiles in the images' own proportions keep them."
    better = _kept_proportions(proportion, map_size)
    times = better[0] * better[1] / (map_size[0] * map_size[1])
    but = ', without augmentation="rotate", which needs squares' if is_turned else ""
    return (
        f"image_size={better} (--image-size {better[0]}x{better[1]}) keeps their "
        f"proportions{but}, for about {times:.2g} times the work; measured on such "
        "parts, it found more."
    )


def _some_shapes(source):
    data: Any = source.data
    if getattr(data, "reads_files", False) and hasattr(data, "image_shape"):
        shape_of = data.image_shape
    elif source.is_in_memory:
        # What is no image is refused where it is looked at, in words of its own.
        def shape_of(index):
            return getattr(source.read(index)["image"], "shape", ())[:2]
    else:
        return []
    some = np.linspace(0, len(data) - 1, min(_LOOKED_AT, len(data))).astype(int)
    shapes = [shape_of(int(index)) for index in some]
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
