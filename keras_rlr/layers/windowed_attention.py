"""Attention of every token to the window around it, and to nothing else.

Queries are taken in square tiles. All windows of a tile lie in one rectangle of keys,
which is gathered by indices known beforehand; of its scores those outside the windows
are hidden. No matrix of all tokens by all tokens is made.
"""

import functools
from typing import Any

import numpy as np
from keras import ops

from keras_rlr.layers.loops import unknown_one
from keras_rlr.layers.masked_attention import masked_attention

_TILE = 4
# Of exported files: keys of all tiles are a dozen times as many as tokens. Where they
# depend on the reference alone, converters would store them.
_LARGEST_STORED = 2**19


def windowed_attention(
    query: Any, key: Any, value: Any, grid: tuple[int, int], window: int
) -> Any:
    """Scaled dot-product attention inside windows.

    Args:
        query: Tensor (batch, heads, tokens, head_dim), scaled already.
        key: Tensor (batch or 1, heads, tokens, head_dim).
        value: Tensor (batch or 1, heads, tokens, head_dim).
        grid: (height, width) of the token grid; tokens are row-major.
        window: Odd side of the window.

    Returns:
        Tensor of the shape of `query`, of its dtype.
    """
    heads, head_dim = query.shape[1], query.shape[-1]
    shared = key.shape[0] == value.shape[0] == 1
    if not shared and 1 in (key.shape[0], value.shape[0]):
        key, value = (ops.broadcast_to(x, ops.shape(query)) for x in (key, value))
    key_rows, key_columns, shown, tiles = _geometry(*grid, window)
    count, places = shown.shape[:2]
    if heads * head_dim * key_rows.size * key_columns.size > _LARGEST_STORED:
        one = ops.cast(unknown_one(query), query.dtype)
        key, value = key * one, value * one
    key, value = (_gather(x, grid, key_rows, key_columns) for x in (key, value))
    query = _to_tiles(query, grid, tiles)
    if not shared:
        query = ops.reshape(query, (-1, count, places, head_dim))
        attended = masked_attention(query, key, value, shown)
        attended = ops.reshape(attended, (-1, heads, count, places, head_dim))
        return _from_tiles(attended, grid, tiles)
    # One rectangle of keys serves a tile of every image: rows are added to the product
    # in place of a product for each image.
    query = ops.reshape(
        ops.transpose(query, (1, 2, 0, 3, 4)), (heads, count, -1, head_dim)
    )
    attended = masked_attention(query, key, value, shown)
    attended = ops.reshape(attended, (heads, count, -1, places, head_dim))
    return _from_tiles(ops.transpose(attended, (2, 0, 1, 3, 4)), grid, tiles)


@functools.lru_cache(maxsize=32)
def _geometry(height, width, window):
    """Where the keys of each tile are, and which of them each query sees.

    Returns:
        int32 array (rows of tiles, rows of keys); int32 array (columns of tiles,
        columns of keys); boolean array (tiles, tile height · tile width, keys); and
        the tiles: (rows of tiles, columns of tiles, height, width of one).
    """
    radius = window // 2
    rows, row_starts, row_shown = _axis(height, radius)
    columns, column_starts, column_shown = _axis(width, radius)
    down, across = row_shown.shape[2], column_shown.shape[2]
    key_rows = row_starts[:, None] + np.arange(down)
    key_columns = column_starts[:, None] + np.arange(across)
    shown = (
        row_shown[:, None, :, None, :, None] & column_shown[None, :, None, :, None, :]
    ).reshape(-1, rows * columns, down * across)
    tiles = (len(row_starts), len(column_starts), rows, columns)
    return key_rows.astype("int32"), key_columns.astype("int32"), shown, tiles


def _axis(size, radius):
    """Tiles along an axis: their side, where their keys begin, which key each sees."""
    side = min(_TILE, size)
    starts = np.arange(0, size, side)
    span = min(side + 2 * radius, size)
    key_starts = np.clip(starts - radius, 0, size - span)
    # Queries beyond the edge are cut off later; they see what the last one does.
    queries = np.minimum(starts[:, None] + np.arange(side), size - 1)
    keys = key_starts[:, None] + np.arange(span)
    shown = np.abs(queries[:, :, None] - keys[:, None, :]) <= radius
    return side, key_starts, shown


# Batch and heads are one axis below: LiteRT transposes six axes at most.
def _gather(tokens, grid, rows, columns):
    """(batch, heads, tokens, d) to (batch · heads, tiles, keys, d).

    By rows and then by columns: XLA adds gradients one index after the other.
    """
    height, width = grid
    size = tokens.shape[-1]
    tokens = ops.reshape(tokens, (-1, height, width, size))
    tokens = ops.take(tokens, rows.reshape(-1), axis=1)
    tokens = ops.take(tokens, columns.reshape(-1), axis=2)
    (down, of_rows), (across, of_columns) = rows.shape, columns.shape
    tokens = ops.reshape(tokens, (-1, down, of_rows, across, of_columns, size))
    tokens = ops.transpose(tokens, (0, 1, 3, 2, 4, 5))
    return ops.reshape(tokens, (-1, down * across, of_rows * of_columns, size))


def _to_tiles(tokens, grid, tiles):
    """(batch, heads, tokens, d) to (batch, heads, tiles, places, d)."""
    height, width = grid
    down, across, rows, columns = tiles
    heads, size = tokens.shape[1], tokens.shape[-1]
    tokens = ops.reshape(tokens, (-1, height, width, size))
    missing = (down * rows - height, across * columns - width)
    if any(missing):
        tokens = ops.pad(tokens, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
    tokens = ops.reshape(tokens, (-1, down, rows, across, columns, size))
    tokens = ops.transpose(tokens, (0, 1, 3, 2, 4, 5))
    return ops.reshape(tokens, (-1, heads, down * across, rows * columns, size))


def _from_tiles(tokens, grid, tiles):
    """The reverse of `_to_tiles`."""
    height, width = grid
    down, across, rows, columns = tiles
    heads, size = tokens.shape[1], tokens.shape[-1]
    tokens = ops.reshape(tokens, (-1, down, across, rows, columns, size))
    tokens = ops.transpose(tokens, (0, 1, 3, 2, 4, 5))
    tokens = ops.reshape(tokens, (-1, down * rows, across * columns, size))
    tokens = tokens[:, :height, :width]
    return ops.reshape(tokens, (-1, heads, height * width, size))
