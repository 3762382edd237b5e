"""Attention of every token to all others but the window around it.

The queries of a few rows of the grid make a block. One block is worked out after the
other, and one head after the other, but where a GPU would idle. The gradient works out
the weights of each block a second time. So neither pass keeps anything larger than the
tokens themselves.
"""

import functools
from typing import Any

import numpy as np
from keras import ops

from keras_rlr.layers.loops import (
    computed_once,
    entries_at_a_time,
    loop,
    loops_are_written_out,
    map_entries,
    scores_at_a_time,
    unknown_one,
)
from keras_rlr.layers.masked_attention import (
    HIDDEN,
    fused_attention,
    hidden_softmax,
)
from keras_rlr.layers.neighborhood import window_mask

# Up to so many tokens no blocks are made: the whole matrix of scores is small then.
_SMALL = 256
# The size of a block depends on the number of images. This many are assumed where a
# graph is made for any number of images.
_LIKELY_BATCH = 4
# A single image counts as two, because the mask of a block is as large as its scores.
_LEAST_BATCH = 2
# Tokens of a block where no loop is used. Those of the fused kernel are larger: it has
# blocks of its own, and the mask alone is made block by block here.
_WRITTEN_OUT_BLOCK = 128
_FUSED_BLOCK = 512


def blockwise_attention(
    query: Any, key: Any, value: Any, grid: tuple[int, int], window: int | None = None
) -> Any:
    """Scaled dot-product attention outside of windows.

    Args:
        query: Tensor (batch, heads, tokens, head_dim), scaled already.
        key: Tensor (batch or 1, heads, tokens · K, head_dim), K of each place.
        value: Tensor (batch or 1, heads, tokens · K, head_dim).
        grid: (height, width) of the token grid; tokens are row-major.
        window: Odd side of the window that is hidden, or None to hide nothing.

    Returns:
        Tensor (batch, heads, tokens, head_dim), of the dtype of `query`.
    """
    height, width = grid
    if height * width <= _SMALL:
        shown = None
        if window is not None:
            shown = ~window_mask(height, width, window, keys_of_a_place(key, grid))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        weights = ops.cast(hidden_softmax(scores, shown), value.dtype)
        return ops.matmul(weights, value)
    if loops_are_written_out():
        blocks = (grid, window, _WRITTEN_OUT_BLOCK)
        return _without_loops(_attend, query, key, value, *blocks)
    heads, tokens, size = query.shape[1:]
    keys = keys_of_a_place(key, grid)
    if value.shape[0] == 1:
        value = ops.broadcast_to(value, (ops.shape(query)[0], *value.shape[1:]))
    if key.shape[0] == 1:
        # The key is one for all images, so all images' rows go into one product.
        def group(x):
            return ops.transpose(x, (1, 0, 2, 3))

        key = key[0]
        ungroup = group
    else:

        def group(x):
            return ops.reshape(x, (-1, 1, x.shape[2], size))

        def ungroup(x):
            return ops.reshape(x, (-1, heads, tokens, size))

        key = ops.reshape(key, (-1, key.shape[2], size))
    block_attention = _Blocks(grid, window, group(query).shape[1], keys)
    attend = ops.custom_gradient(block_attention.attend)
    return ungroup(attend(group(query), key, group(value)))


def fused_blockwise_attention(
    query: Any, key: Any, value: Any, grid: tuple[int, int], window: int | None = None
) -> Any:
    """`blockwise_attention` by the fused kernel of PyTorch."""
    shape = (query.shape[0], *key.shape[1:])
    key, value = (ops.broadcast_to(part, shape) for part in (key, value))
    if window is None:
        return fused_attention(query, key, value)
    blocks = (grid, window, _FUSED_BLOCK)
    return _without_loops(fused_attention, query, key, value, *blocks)


def _without_loops(attend, query, key, value, grid, window, tokens):
    """Attention block by block, about `tokens` queries at a time, without a loop."""
    height, width = grid
    rows = rows_at_a_time(grid, tokens)
    hidden = None
    if window is not None:
        keys = keys_of_a_place(key, grid)
        hidden = relative_hidden_scores(grid, window, rows, unknown_one(query), keys)
        hidden = ops.cast(hidden, query.dtype)
    parts = [
        attend(
            query[:, :, start * width : (start + rows) * width],
            key,
            value,
            None if hidden is None else keys_from(hidden, grid, start),
        )
        for start in range(0, height, rows)
    ]
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=2)


def _attend(query, key, value, hidden):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    scores = ops.cast(scores, "float32")
    if hidden is not None:
        scores = ops.add(scores, hidden)
    return ops.matmul(ops.cast(ops.softmax(scores), value.dtype), value)


class _Blocks:
    """Attention of queries (groups, rows, tokens, d) to keys (groups, keys, d)."""

    def __init__(
        self, grid: tuple[int, int], window: int | None, rows: Any, keys: int
    ) -> None:
        height, width = grid
        rows = max(rows or _LIKELY_BATCH, _LEAST_BATCH)
        self.grid = grid
        self.keys = keys  # Of a place.
        of_a_token = height * width * keys * rows
        self.rows = rows_at_a_time(grid, scores_at_a_time() // of_a_token)
        self.count = height // self.rows
        self.size = self.rows * width
        self.groups = entries_at_a_time(self.size * of_a_token)
        self.window = window

    def attend(self, query: Any, key: Any, value: Any) -> Any:
        """The result, and the function of its gradient."""
        attend = functools.partial(self._attend, self._hidden())
        parts = (query, key, value)
        (attended,) = map_entries(attend, parts, (query,), self.groups)

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            # The mask is made a second time. To keep it until now would cost more.
            gradient = functools.partial(self._gradient, self._hidden())
            of_all = (*parts, attended, upstream)
            return map_entries(gradient, of_all, parts, self.groups)

        return attended, gradient

    def _hidden(self):
        if self.window is None:
            return None
        return relative_hidden_scores(self.grid, self.window, self.rows, keys=self.keys)

    def _attend(self, hidden, query, key, value):
        queries = self._split(query)

        def forward(carry, i):
            weights = self._weights(queries[i], key, hidden, i)
            return carry, ops.matmul(ops.cast(weights, value.dtype), value)

        return (self._join(loop(forward, (), self.count)[1]),)

    def _gradient(self, hidden, query, key, value, attended, upstream):
        dtype = value.dtype
        queries, upstreams = self._split(query), self._split(upstream)
        values = ops.transpose(value, (0, 2, 1))
        products = ops.cast(upstream, "float32") * ops.cast(attended, "float32")
        means = self._split(ops.sum(products, axis=-1, keepdims=True))

        def backward(carry, i):
            key_gradient, value_gradient = carry
            weights = computed_once(self._weights(queries[i], key, hidden, i))
            # XLA is many times faster at these products than at their transposes.
            turned = ops.transpose(upstreams[i], (0, 2, 1))
            part = ops.matmul(turned, ops.cast(weights, dtype))
            value_gradient += ops.cast(part, "float32")
            change = ops.cast(ops.matmul(upstreams[i], values), "float32") - means[i]
            change = _fold(ops.cast(weights * change, dtype))
            turned = ops.transpose(_fold(queries[i]))
            key_gradient += ops.cast(ops.matmul(turned, change), "float32")
            query_gradient = ops.reshape(ops.matmul(change, key), ops.shape(queries[i]))
            return (key_gradient, value_gradient), query_gradient

        initial = (
            ops.zeros_like(ops.transpose(key), dtype="float32"),
            ops.zeros_like(values, dtype="float32"),
        )
        (key_gradient, value_gradient), parts = loop(backward, initial, self.count)
        return (
            self._join(parts),
            ops.cast(ops.transpose(key_gradient), key.dtype),
            ops.cast(ops.transpose(value_gradient, (0, 2, 1)), dtype),
        )

    def _weights(self, query, key, hidden, i):
        scores = ops.matmul(_fold(query), ops.transpose(key))
        scores = ops.reshape(scores, (*ops.shape(query)[:-1], key.shape[0]))
        scores = ops.cast(scores, "float32")
        if hidden is not None:
            scores = scores + keys_from(hidden, self.grid, i * self.rows)
        return ops.softmax(scores)

    def _split(self, x):
        """(rows, tokens, n) to (blocks, rows, tokens of one, n)."""
        x = ops.reshape(x, (-1, self.count, self.size, x.shape[-1]))
        return ops.transpose(x, (1, 0, 2, 3))

    def _join(self, parts):
        """The reverse of `_split`."""
        x = ops.transpose(parts, (1, 0, 2, 3))
        return ops.reshape(x, (-1, self.count * self.size, parts.shape[-1]))


def _fold(x):
    """(rows, tokens, n) to (rows · tokens, n)."""
    return ops.reshape(x, (-1, x.shape[-1]))


def rows_at_a_time(grid: tuple[int, int], tokens: Any) -> int:
    """Rows of a block: as many as hold `tokens`, and divide the grid evenly."""
    height, width = grid
    most = max(1, tokens // width)
    return max(rows for rows in range(1, most + 1) if height % rows == 0)


def keys_of_a_place(key: Any, grid: tuple[int, int]) -> int:
    """How many keys each place of the grid has.

    Args:
        key: Tensor (batch, heads, keys, head_dim).
        grid: (height, width) of the token grid.
    """
    return key.shape[2] // (grid[0] * grid[1])


def keys_from(hidden: Any, grid: tuple[int, int], start: Any) -> Any:
    """The part of `relative_hidden_scores` for queries from row `start` on.

    Args:
        hidden: What that function returned.
        grid: (height, width) of the token grid.
        start: The first row of the queries, a number or a traced one.

    Returns:
        Tensor (queries, keys): on PyTorch a view.
    """
    height = grid[0]
    width = hidden.shape[1] // (2 * height - 1)  # Of a row of keys.
    first = (height - 1 - start) * width
    if isinstance(start, int):
        return hidden[:, first : first + height * width]
    return ops.slice(hidden, (0, first), (hidden.shape[0], height * width))


def relative_hidden_scores(
    grid: tuple[int, int], window: int, rows: Any, one: float = 1.0, keys: int = 1
) -> Any:
    """What to add to scores so that each query does not see the window around it.

    The table has a row for each query of a block, and a column for each key that any
    block may see, counted from the query's own row. Every block adds its part of the
    table (`keys_from`), so one table serves all of them. It is made in the graph out of
    two small arrays, so an exported file does not store it.

    Args:
        grid: (height, width) of the token grid.
        window: Odd side of the window that is hidden.
        rows: Rows of queries in a block.
        one: 1, or what `unknown_one` returns.
        keys: Keys of each place.

    Returns:
        float32 tensor (rows · width, (2 · height - 1) · width · keys): 0 outside the
        window, and -1e30 inside.
    """
    height, width = grid
    radius = window // 2
    row_distance = np.arange(rows)[:, None] - np.arange(1 - height, height)
    column_distance = np.arange(width)[:, None] - np.arange(width).repeat(keys)
    near_rows, near_columns = (
        (np.abs(distance) <= radius).astype("float32")
        for distance in (row_distance, column_distance)
    )
    # Both factors are multiplied by it: else a compiler would work out the other one.
    of_rows = ops.multiply((HIDDEN * near_rows)[:, None, :, None], one)
    of_columns = ops.multiply(near_columns[None, :, None, :], one)
    hidden = of_rows * of_columns
    return ops.reshape(hidden, (rows * width, (2 * height - 1) * width * keys))
