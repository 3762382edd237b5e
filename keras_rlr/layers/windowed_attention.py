"""Attention of every token to the window around it, and to nothing else.

The queries are cut into square tiles. The windows of all queries of a tile lie in one
rectangle of keys. The tile is scored against that rectangle alone, and what lies
outside of a query's own window is hidden. No matrix of all tokens by all tokens is
made.
"""

import functools
from typing import Any

import numpy as np
from keras import ops

from keras_rlr.layers.blockwise_attention import keys_of_a_place
from keras_rlr.layers.loops import unknown_one
from keras_rlr.layers.masked_attention import masked_attention

_TILE = 4
# The keys of all tiles together are a dozen times as many as the tokens. Where they
# depend on the reference alone, a converter would store them in the exported file; from
# this many values on it is kept from doing so.
_LARGEST_STORED = 2**19


def windowed_attention(
    query: Any,
    key: Any,
    value: Any,
    grid: tuple[int, int],
    window: int,
    tile: int = _TILE,
) -> Any:
    """Scaled dot-product attention inside windows.

    Args:
        query: Tensor (batch, heads, tokens, head_dim), scaled already.
        key: Tensor (batch or 1, heads, tokens · K, head_dim), K of each place.
        value: Tensor (batch or 1, heads, tokens · K, head_dim).
        grid: (height, width) of the token grid; tokens are row-major.
        window: Odd side of the window.
        tile: Side of the tiles of queries.

    Returns:
        Tensor of the shape of `query`, of its dtype.
    """
    heads, head_dim = query.shape[1], query.shape[-1]
    shared = key.shape[0] == value.shape[0] == 1
    if not shared and 1 in (key.shape[0], value.shape[0]):
        shape = (ops.shape(query)[0], *key.shape[1:])
        key, value = (ops.broadcast_to(x, shape) for x in (key, value))
    keys = keys_of_a_place(key, grid)
    key_rows, key_columns, shown, tiles = _geometry(*grid, window, tile, keys)
    count, places = shown.shape[:2]
    if heads * head_dim * key_rows.size * key_columns.size > _LARGEST_STORED:
        one = ops.cast(unknown_one(query), query.dtype)
        key, value = key * one, value * one
    # K keys of a place are K columns of a grid of keys.
    key_grid = (grid[0], grid[1] * keys)
    key, value = (_gather(x, key_grid, key_rows, key_columns) for x in (key, value))
    query = _to_tiles(query, grid, tiles)
    if not shared:
        query = ops.reshape(query, (-1, count, places, head_dim))
        attended = masked_attention(query, key, value, shown)
        attended = ops.reshape(attended, (-1, heads, count, places, head_dim))
        return _from_tiles(attended, grid, tiles)
    # All images have the same keys. So the queries that a tile has in all images go
    # into one product, instead of one product for each image.
    query = ops.reshape(
        ops.transpose(query, (1, 2, 0, 3, 4)), (heads, count, -1, head_dim)
    )
    attended = masked_attention(query, key, value, shown)
    attended = ops.reshape(attended, (heads, count, -1, places, head_dim))
    return _from_tiles(ops.transpose(attended, (2, 0, 1, 3, 4)), grid, tiles)


@functools.lru_cache(maxsize=32)
def _geometry(height, width, window, tile, keys=1):
    """Where the keys of each tile are, and which of them each query sees.

    `keys` of each place are so many columns of a grid of keys.

    Returns:
        int32 array (rows of tiles, rows of keys); int32 array (columns of tiles,
        columns of keys); boolean array (tiles, tile height · tile width, keys); and
        the tiles: (rows of tiles, columns of tiles, height, width of one).
    """
    radius = window // 2
    rows, row_starts, row_shown = _axis(height, radius, tile)
    columns, column_starts, column_shown = _axis(width, radius, tile)
    column_starts, column_shown = column_starts * keys, column_shown.repeat(keys, -1)
    down, across = row_shown.shape[2], column_shown.shape[2]
    key_rows = row_starts[:, None] + np.arange(down)
    key_columns = column_starts[:, None] + np.arange(across)
    shown = (
        row_shown[:, None, :, None, :, None] & column_shown[None, :, None, :, None, :]
    ).reshape(-1, rows * columns, down * across)
    tiles = (len(row_starts), len(column_starts), rows, columns)
    return key_rows.astype("int32"), key_columns.astype("int32"), shown, tiles


def _axis(size, radius, tile):
    """Tiles along an axis: their side, where their keys begin, which key each sees."""
    side = min(tile, size)
    starts = np.arange(0, size, side)
    span = min(side + 2 * radius, size)
    key_starts = np.clip(starts - radius, 0, size - span)
    # The last tile may reach beyond the edge. Its extra queries are cut off later;
    # until then they see the same keys as the last real one.
    queries = np.minimum(starts[:, None] + np.arange(side), size - 1)
    keys = key_starts[:, None] + np.arange(span)
    shown = np.abs(queries[:, :, None] - keys[:, None, :]) <= radius
    return side, key_starts, shown


# Below, batch and heads are one axis: LiteRT can't transpose more than six axes.
def _gather(tokens, grid, rows, columns):
    """(batch, heads, tokens, d) to (batch · heads, tiles, keys, d).

    First the rows and then the columns: XLA adds the gradients of a `take` one index
    after the other, so fewer indices are quicker.
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
