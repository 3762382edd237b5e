"""Images to tiles, and maps of tiles to a map of the image, in a graph."""

from typing import Any

from keras import ops

from keras_rlr.tiling import Tiling


def cut_tiles(images: Any, tiling: Tiling) -> Any:
    """Returns the tiles of a batch of images, those of an image one after the other.

    Args:
        images: Tensor (batch, height, width, channels) of the tiling's whole size.
        tiling: How they are cut.

    Returns:
        Tensor (batch · tiles, tile's height, tile's width, channels).
    """
    height, width = tiling.height, tiling.width
    parts = [
        images[:, top : top + height, left : left + width]
        for top, left in tiling.corners
    ]
    tiles = ops.stack(parts, axis=1)
    return ops.reshape(tiles, (-1, height, width, images.shape[-1]))


def cut_tile(images: Any, corner: Any, tiling: Tiling) -> Any:
    """Returns one tile of each image, where it begins being known at run time alone.

    Args:
        images: Tensor (batch, height, width, channels) of the tiling's whole size.
        corner: int32 tensor (2,), its first row and column.
        tiling: How they are cut.

    Returns:
        Tensor (batch, tile's height, tile's width, channels).
    """
    rows = corner[0] + ops.arange(tiling.height, dtype="int32")
    columns = corner[1] + ops.arange(tiling.width, dtype="int32")
    return ops.take(ops.take(images, rows, axis=1), columns, axis=2)


def numbers_in_order(tiles: Any, count: int) -> Any:
    """Returns the number of each tile, those of an image one after the other.

    Args:
        tiles: Tensor (batch · tiles, …) of whatever there is of the tiles.
        count: Tiles of an image.

    Returns:
        int32 tensor (batch · tiles,): 0, 1, …, and again.
    """
    # Of a batch whose size a graph need not know.
    first = tiles[(slice(None), *[0] * (len(tiles.shape) - 1))]
    zeros = ops.zeros_like(ops.reshape(first, (-1, count)), dtype="int32")
    return ops.reshape(zeros + ops.arange(count, dtype="int32"), (-1,))


def blend_tiles(maps: Any, tiling: Tiling) -> Any:
    """Returns maps of whole images; where tiles overlap, one fades into the other.

    Args:
        maps: float32 tensor (batch, tiles, tile's height, tile's width).
        tiling: How the images were cut.

    Returns:
        float32 tensor (batch, height, width) of the tiling's whole size.
    """
    of_rows, of_columns = tiling.weights()
    weights = of_rows[:, None, :, None] * of_columns[None, :, None, :]
    shape = (-1, tiling.rows, tiling.columns, tiling.height, tiling.width)
    maps = ops.reshape(maps, shape) * ops.convert_to_tensor(weights)
    # (batch, rows, height, columns, width): the columns of tiles are joined first.
    rows = _join(ops.transpose(maps, (0, 1, 3, 2, 4)), tiling.overlaps[1])
    # (batch, whole width, rows, height): then the rows.
    whole = _join(ops.transpose(rows, (0, 3, 1, 2)), tiling.overlaps[0])
    return ops.transpose(whole, (0, 2, 1))


def _join(parts, overlap):
    """Adds up (…, count, length) to one line, where `overlap` values coincide."""
    *leading, count, length = parts.shape
    leading = [-1 if side is None else side for side in leading]
    step = length - overlap
    lines = ops.reshape(parts[..., :step], (*leading, count * step))
    if not overlap:
        return lines
    none = [(0, 0)] * len(leading)
    ends = ops.pad(parts[..., step:], [*none, (0, 0), (0, step - overlap)])
    ends = ops.reshape(ends, (*leading, count * step))
    lines = ops.pad(lines, [*none, (0, overlap)])
    # An end belongs to the step after the one that its part begins with.
    return lines + ops.pad(ends, [*none, (step, 0)])[..., : count * step + overlap]
