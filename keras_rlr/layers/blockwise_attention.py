"""Attention of every token to all others but the window around it.

Queries are taken a few rows of the grid at a time, one head after the other. The
gradient computes the weights of a block anew, so that nothing is kept for it that is
larger than the tokens themselves, forward or backward.
"""

import functools
from typing import Any

import numpy as np
from keras import ops

from keras_rlr.layers.loops import (
    each,
    loop,
    loops_are_written_out,
    on_gpu,
    once,
    unknown_one,
)
from keras_rlr.layers.masked_attention import (
    HIDDEN,
    fused_attention,
    hidden_softmax,
)
from keras_rlr.layers.neighborhood import window_mask

# The matrix of so few tokens is smaller than what else a layer keeps.
_SMALL = 256
# Scores that are held at a time. On a processor they fit into its cache; a GPU needs
# more to be busy.
_BLOCK_SCORES = 2**21
_BLOCK_SCORES_OF_GPU = 2**25
# Of a graph whose batch is not known. One image counts as two: its mask is as large.
_LIKELY_BATCH = 4
_LEAST_BATCH = 2
# Tokens of a block without a loop. The fused kernel has blocks of its own; only what is
# hidden from these is made.
_WRITTEN_OUT_BLOCK = 128
_FUSED_BLOCK = 512


def blockwise_attention(
    query: Any, key: Any, value: Any, grid: tuple[int, int], window: int | None = None
) -> Any:
    """Scaled dot-product attention outside of windows.

    Args:
        query: Tensor (batch, heads, tokens, head_dim), scaled already.
        key: Tensor (batch or 1, heads, tokens, head_dim).
        value: Tensor (batch or 1, heads, tokens, head_dim).
        grid: (height, width) of the token grid; tokens are row-major.
        window: Odd side of the window that is hidden, or None to hide nothing.

    Returns:
        Tensor (batch, heads, tokens, head_dim), of the dtype of `query`.
    """
    height, width = grid
    if height * width <= _SMALL:
        shown = None if window is None else ~window_mask(height, width, window)
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        weights = ops.cast(hidden_softmax(scores, shown), value.dtype)
        return ops.matmul(weights, value)
    if loops_are_written_out():
        blocks = (grid, window, _WRITTEN_OUT_BLOCK)
        return _without_loops(_attend, query, key, value, *blocks)
    heads, tokens, size = query.shape[1:]
    if value.shape[0] == 1:
        value = ops.broadcast_to(value, ops.shape(query))
    if key.shape[0] == 1:
        # Of all images together, so that their rows are rows of one product.
        def group(x):
            return ops.transpose(x, (1, 0, 2, 3))

        key = key[0]
        ungroup = group
    else:

        def group(x):
            return ops.reshape(x, (-1, 1, tokens, size))

        def ungroup(x):
            return ops.reshape(x, (-1, heads, tokens, size))

        key = ops.reshape(key, (-1, tokens, size))
    block_attention = _Blocks(grid, window, group(query).shape[1])
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
    """Attention of blocks of about so many queries, by `attend`."""
    height, width = grid
    rows = rows_at_a_time(grid, tokens)
    hidden = None
    if window is not None:
        hidden = relative_hidden_scores(grid, window, rows, unknown_one(query))
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
    """Attention of queries (groups, rows, tokens, d) to keys (groups, tokens, d)."""

    def __init__(self, grid: tuple[int, int], window: int | None, rows: Any) -> None:
        height, width = grid
        rows = max(rows or _LIKELY_BATCH, _LEAST_BATCH)
        self.grid = grid
        scores = _BLOCK_SCORES_OF_GPU if on_gpu() else _BLOCK_SCORES
        self.rows = rows_at_a_time(grid, scores // (height * width * rows))
        self.count = height // self.rows
        self.size = self.rows * width
        self.window = window

    def attend(self, query: Any, key: Any, value: Any) -> Any:
        """The result, and the function of its gradient."""
        attend = functools.partial(self._attend, self._hidden())
        (attended,) = each(attend, (query, key, value), (query,))

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            # The mask is made anew, so that it isn't kept meanwhile.
            gradient = functools.partial(self._gradient, self._hidden())
            parts = (query, key, value, attended, upstream)
            return each(gradient, parts, (query, key, value))

        return attended, gradient

    def _hidden(self):
        if self.window is None:
            return None
        return relative_hidden_scores(self.grid, self.window, self.rows)

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
            weights = once(self._weights(queries[i], key, hidden, i))
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
    """The most rows of about so many tokens that divide the grid into equal blocks."""
    height, width = grid
    most = max(1, tokens // width)
    return max(rows for rows in range(1, most + 1) if height % rows == 0)


def keys_from(hidden: Any, grid: tuple[int, int], start: Any) -> Any:
    """The part of `relative_hidden_scores` for queries from row `start` on.

    Args:
        hidden: What that function returned.
        grid: (height, width) of the token grid.
        start: The first row of the queries, a number or a traced one.

    Returns:
        Tensor (queries, tokens): on PyTorch a view.
    """
    height, width = grid
    first = (height - 1 - start) * width
    if isinstance(start, int):
        return hidden[:, first : first + height * width]
    return ops.slice(hidden, (0, first), (hidden.shape[0], height * width))


def relative_hidden_scores(
    grid: tuple[int, int], window: int, rows: Any, one: float = 1.0
) -> Any:
    """What hides keys, as far above and below, from some rows of queries, by a sum.

    Every block adds a part of it, so that it is held once and not once a block. It is
    made in the graph, from what is known of rows and of columns: a file of the graph
    has no constant of its size.

    Args:
        grid: (height, width) of the token grid.
        window: Odd side of the window that is hidden.
        rows: Rows of queries.
        one: The number, or a tensor whose value no compiler knows beforehand.

    Returns:
        float32 tensor (rows · width, (2 · height - 1) · width): 0 outside the window,
        and -1e30 inside.
    """
    height, width = grid
    radius = window // 2
    row_distance = np.arange(rows)[:, None] - np.arange(1 - height, height)
    column_distance = np.arange(width)[:, None] - np.arange(width)
    near_rows, near_columns = (
        (np.abs(distance) <= radius).astype("float32")
        for distance in (row_distance, column_distance)
    )
    # A number times one factor alone, and compilers multiply the other by that factor.
    of_rows = ops.multiply((HIDDEN * near_rows)[:, None, :, None], one)
    of_columns = ops.multiply(near_columns[None, :, None, :], one)
    hidden = of_rows * of_columns
    return ops.reshape(hidden, (rows * width, -1))
