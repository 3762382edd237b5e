"""Attention of every token to the window around it, and to nothing else.

Queries are taken in square tiles. All windows of a tile lie in one rectangle of keys,
which is gathered by indices known beforehand; of its scores those outside the windows
are hidden. No matrix of all tokens by all tokens is made.
"""

import functools

import numpy as np
from keras import ops

from keras_rlr.layers.masked_attention import masked_attention

_TILE = 4


def windowed_attention(query, key, value, grid, window, tile=_TILE):
    """Scaled dot-product attention inside windows.

    Args:
        query: Tensor (batch, heads, tokens, head_dim), scaled already.
        key: Tensor (batch or 1, heads, tokens, head_dim).
        value: Tensor of the shape of `key`.
        grid: (height, width) of the token grid; tokens are row-major.
        window: Odd side of the window.
        tile: Side of the tiles of queries.

    Returns:
        Tensor of the shape of `query`, of its dtype.
    """
    heads, head_dim = query.shape[1], query.shape[-1]
    shared = key.shape[0] == 1
    indices, shown, tiles = _geometry(*grid, window, tile)
    count, keys = indices.shape
    places = shown.shape[1]
    # (batch, heads, tiles, places, d) to (tiles, batch · heads, places, d). Where one
    # rectangle of keys serves a tile of every image, to (tiles, heads, batch · places,
    # d): rows are added to the product in place of a product for each image.
    axes = (2, 1, 0, 3, 4) if shared else (2, 0, 1, 3, 4)
    query = ops.transpose(_to_tiles(query, grid, tiles), axes)
    if shared:
        query = ops.reshape(query, (count, heads, -1, head_dim))
        key, value = (
            ops.transpose(_gather(tokens, indices)[0], (1, 0, 2, 3))
            for tokens in (key, value)
        )
    else:
        query, key, value = (
            ops.reshape(tokens, (count, -1, rows, head_dim))
            for tokens, rows in (
                (query, places),
                (ops.transpose(_gather(key, indices), axes), keys),
                (ops.transpose(_gather(value, indices), axes), keys),
            )
        )
    attended = masked_attention(query, key, value, shown)
    if shared:
        attended = ops.reshape(attended, (count, heads, -1, places, head_dim))
    else:
        attended = ops.reshape(attended, (count, -1, heads, places, head_dim))
    inverse = (2, 1, 0, 3, 4) if shared else (1, 2, 0, 3, 4)
    return _from_tiles(ops.transpose(attended, inverse), grid, tiles)


@functools.lru_cache(maxsize=32)
def _geometry(height, width, window, tile):
    """Indices of the keys of each tile, and which of them each query sees.

    Returns:
        int32 array (tiles, keys); boolean array (tiles, tile height · tile width,
        keys); and the tiles: (rows of tiles, columns of tiles, height, width of one).
    """
    radius = window // 2
    rows, row_starts, row_shown = _axis(height, radius, tile)
    columns, column_starts, column_shown = _axis(width, radius, tile)
    down, across = row_shown.shape[2], column_shown.shape[2]
    key_rows = row_starts[:, None] + np.arange(down)
    key_columns = column_starts[:, None] + np.arange(across)
    indices = (
        key_rows[:, None, :, None] * width + key_columns[None, :, None, :]
    ).reshape(-1, down * across)
    shown = (
        row_shown[:, None, :, None, :, None] & column_shown[None, :, None, :, None, :]
    ).reshape(len(indices), rows * columns, down * across)
    tiles = (len(row_starts), len(column_starts), rows, columns)
    return indices.astype("int32"), shown, tiles


def _axis(size, radius, tile):
    """Tiles along an axis: their side, where their keys begin, which key each sees."""
    side = min(tile, size)
    starts = np.arange(0, size, side)
    span = min(side + 2 * radius, size)
    key_starts = np.clip(starts - radius, 0, size - span)
    # Queries beyond the edge are cut off later; they see what the last one does.
    queries = np.minimum(starts[:, None] + np.arange(side), size - 1)
    keys = key_starts[:, None] + np.arange(span)
    shown = np.abs(queries[:, :, None] - keys[:, None, :]) <= radius
    return side, key_starts, shown


def _gather(tokens, indices):
    """(batch, heads, tokens, d) to (batch, heads, tiles, keys, d)."""
    flat = ops.take(tokens, indices.reshape(-1), axis=2)
    return ops.reshape(flat, (-1, tokens.shape[1], *indices.shape, tokens.shape[-1]))


# Batch and heads are one axis below: LiteRT transposes six axes at most.
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
