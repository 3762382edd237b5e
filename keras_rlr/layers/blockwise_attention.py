"""Attention of every token to all others but the window around it.

Queries are taken a few rows of the grid at a time. The gradient computes the weights of
a block anew from one number a query, so that nothing is kept for it that is larger than
the tokens themselves, forward or backward.
"""

import functools

import keras
import numpy as np
from keras import ops

from keras_rlr.layers.masked_attention import (
    HIDDEN,
    fused_attention,
    hidden_scores,
    hidden_softmax,
)
from keras_rlr.layers.neighborhood import window_mask

# The matrix of so few tokens is smaller than what else a layer keeps.
_SMALL = 256
# What fits into a processor's cache, and keeps it busy.
_BLOCK = 128
# The fused kernel has blocks of its own; only the mask of what these see is made.
_FUSED_BLOCK = 512


def blockwise_attention(query, key, value, grid, window=None):
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
    attend = ops.custom_gradient(_Blocks(grid, window).attend)
    return ungroup(attend(group(query), key, group(value)))


def fused_blockwise_attention(query, key, value, grid, window=None):
    """`blockwise_attention` by the fused kernel of PyTorch."""
    height, width = grid
    shape = (query.shape[0], *key.shape[1:])
    key, value = (ops.broadcast_to(part, shape) for part in (key, value))
    if window is None:
        return fused_attention(query, key, value)
    rows = rows_at_a_time(grid, _FUSED_BLOCK)
    mask = relative_mask(height, width, window, rows)
    hidden = hidden_scores(mask, query.dtype)
    parts = [
        fused_attention(
            query[:, :, start * width : (start + rows) * width],
            key,
            value,
            keys_from(hidden, grid, start),
        )
        for start in range(0, height, rows)
    ]
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=2)


class _Blocks:
    """Attention of queries (groups, rows, tokens, d) to keys (groups, tokens, d)."""

    def __init__(self, grid, window):
        height, width = grid
        self.grid = grid
        self.rows = rows_at_a_time(grid, _BLOCK)
        self.count = height // self.rows
        self.size = self.rows * width
        self.mask = None
        if window is not None:
            self.mask = relative_mask(height, width, window, self.rows)

    def attend(self, query, key, value):
        """The result, and the function of its gradient."""
        mask = None if self.mask is None else ops.convert_to_tensor(self.mask, "bool")
        queries = self._split(query)

        def forward(carry, i):
            scores = self._scores(queries[i], key, mask, i)
            largest = ops.max(scores, axis=-1, keepdims=True)
            weights = _once(ops.exp(scores - largest))
            total = ops.sum(weights, axis=-1, keepdims=True)
            attended = ops.matmul(ops.cast(weights, value.dtype), value)
            attended = ops.cast(attended, "float32") / total
            return carry, (
                ops.cast(attended, query.dtype),
                largest + ops.log(total),
            )

        _, (parts, log_totals) = _loop(forward, (), self.count)
        attended = self._join(parts)

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            return self._gradient(
                (queries, key, value, mask, log_totals), attended, upstream
            )

        return attended, gradient

    def _gradient(self, kept, attended, upstream):
        queries, key, value, mask, log_totals = kept
        dtype = value.dtype
        values = ops.transpose(value, (0, 1, 3, 2))
        products = ops.cast(upstream, "float32") * ops.cast(attended, "float32")
        means = self._split(ops.sum(products, axis=-1, keepdims=True))
        upstreams = self._split(upstream)

        def backward(carry, i):
            key_gradient, value_gradient = carry
            scores = self._scores(queries[i], key, mask, i)
            weights = ops.exp(scores - log_totals[i])
            # XLA is many times faster at these products than at their transposes.
            turned = ops.transpose(upstreams[i], (0, 1, 3, 2))
            part = ops.matmul(turned, ops.cast(weights, dtype))
            value_gradient += ops.cast(part, "float32")
            change = ops.cast(ops.matmul(upstreams[i], values), "float32") - means[i]
            change = _fold(ops.cast(weights * change, dtype))
            turned = ops.transpose(_fold(queries[i]), (0, 2, 1))
            key_gradient += ops.cast(ops.matmul(turned, change), "float32")
            query_gradient = ops.reshape(ops.matmul(change, key), ops.shape(queries[i]))
            return (key_gradient, value_gradient), query_gradient

        initial = (
            ops.zeros_like(ops.transpose(key, (0, 2, 1)), dtype="float32"),
            ops.zeros_like(values, dtype="float32"),
        )
        (key_gradient, value_gradient), parts = _loop(backward, initial, self.count)
        return (
            self._join(parts),
            ops.cast(ops.transpose(key_gradient, (0, 2, 1)), key.dtype),
            ops.cast(ops.transpose(value_gradient, (0, 1, 3, 2)), dtype),
        )

    def _scores(self, query, key, mask, i):
        scores = ops.matmul(_fold(query), ops.transpose(key, (0, 2, 1)))
        scores = ops.reshape(scores, (*ops.shape(query)[:-1], key.shape[1]))
        scores = ops.cast(scores, "float32")
        if mask is None:
            return scores
        return ops.where(keys_from(mask, self.grid, i * self.rows), scores, HIDDEN)

    def _split(self, x):
        """(groups, rows, tokens, n) to (blocks, groups, rows, tokens of one, n)."""
        groups, rows = ops.shape(x)[:2]
        x = ops.reshape(x, (groups, rows, self.count, self.size, x.shape[-1]))
        return ops.transpose(x, (2, 0, 1, 3, 4))

    def _join(self, parts):
        """The reverse of `_split`."""
        groups, rows = ops.shape(parts)[1:3]
        x = ops.transpose(parts, (1, 2, 0, 3, 4))
        return ops.reshape(x, (groups, rows, self.count * self.size, parts.shape[-1]))


def _fold(x):
    """(groups, rows, tokens, n) to (groups, rows · tokens, n)."""
    return ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))


def _once(x):
    """Keeps XLA on JAX from computing `x` anew for each of its uses."""
    if keras.backend.backend() != "jax":
        return x
    import jax

    return jax.lax.optimization_barrier(x)


def _loop(step, carry, count):
    """Runs `step(carry, i)` for i below `count`; stacks what it returns beside carry.

    In a graph it is a loop, which holds the memory of one block at a time.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.scan(step, carry, jax.numpy.arange(count))
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_loop(step, carry, count)
    outputs = []
    for i in range(count):
        carry, output = step(carry, i)
        outputs.append(output)
    return carry, keras.tree.map_structure(lambda *parts: ops.stack(parts), *outputs)


def _tensorflow_loop(step, carry, count):
    import tensorflow as tf

    carry, first = step(carry, 0)
    arrays = [
        tf.TensorArray(part.dtype, count, element_shape=part.shape).write(0, part)
        for part in keras.tree.flatten(first)
    ]

    def body(i, carry, arrays):
        carry, output = step(carry, i)
        output = keras.tree.flatten(output)
        arrays = [a.write(i, part) for a, part in zip(arrays, output, strict=True)]
        return i + 1, carry, arrays

    _, carry, arrays = tf.while_loop(
        lambda i, *_: i < count,
        body,
        (1, carry, arrays),
        maximum_iterations=count,
        parallel_iterations=1,
    )
    stacked = [array.stack() for array in arrays]
    return carry, keras.tree.pack_sequence_as(first, stacked)


def rows_at_a_time(grid, tokens):
    """The most rows of about so many tokens that divide the grid into equal blocks."""
    height, width = grid
    most = max(1, tokens // width)
    return max(rows for rows in range(1, most + 1) if height % rows == 0)


def keys_from(mask, grid, start):
    """The part of a relative mask for queries from row `start` on.

    Args:
        mask: A `relative_mask`, or what was made of one, tensor.
        grid: (height, width) of the token grid.
        start: The first row of the queries, a number or a traced one.

    Returns:
        Tensor (queries, tokens): on PyTorch a view.
    """
    height, width = grid
    first = (height - 1 - start) * width
    if isinstance(start, int):
        return mask[:, first : first + height * width]
    return ops.slice(mask, (0, first), (mask.shape[0], height * width))


@functools.lru_cache(maxsize=32)
def relative_mask(height, width, window, rows):
    """What queries of some rows see of keys from as far above as below.

    Every block sees a part of it, so that it is held once and not once a block.

    Returns:
        Boolean array (rows · width, (2 · height - 1) · width).
    """
    radius = window // 2
    row_distance = np.abs(
        np.arange(rows)[:, None] - np.arange(1 - height, height)[None]
    )
    column_distance = np.abs(np.arange(width)[:, None] - np.arange(width)[None])
    hidden = (row_distance <= radius)[:, None, :, None] & (column_distance <= radius)[
        None, :, None, :
    ]
    return ~hidden.reshape(rows * width, -1)
