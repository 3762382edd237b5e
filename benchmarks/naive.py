"""Attention without a thought for speed: what the package is compared to.

It makes the matrix of all tokens by all tokens, hides what must not be seen by a mask
made anew in every call, and keeps all of it for the gradient; keys and values of the
reference are copied for every image.
"""

import contextlib
import math

import numpy as np
from keras import ops

from keras_rlr.layers import grid_attention as module


def naive_attention(query, key, value, grid, window=None, visible="all"):
    """`keras_rlr.layers.attention.grid_attention`, dense."""
    batch = ops.shape(query)[0]
    key, value = (
        ops.repeat(part, batch, axis=0) if part.shape[0] == 1 else part
        for part in (key, value)
    )
    query = query / math.sqrt(query.shape[-1])
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
    if visible != "all":
        rows, columns = (
            ops.convert_to_tensor(
                np.abs(np.arange(side)[:, None] - np.arange(side)) > window // 2
            )
            for side in grid
        )
        # Keys of one place, such as several reference tokens, are side by side.
        columns = ops.repeat(columns, key.shape[2] // (grid[0] * grid[1]), axis=1)
        hidden = ops.logical_or(rows[:, None, :, None], columns[None, :, None, :])
        if visible == "outside":
            hidden = ops.logical_not(hidden)
        mask = ops.where(hidden, np.float32(-1e30), np.float32(0))
        scores = scores + ops.reshape(mask, scores.shape[-2:])
    return ops.matmul(ops.softmax(scores, axis=-1), value)


@contextlib.contextmanager
def naive():
    """Models that are called in this block attend naively."""
    fast = module.grid_attention
    module.grid_attention = naive_attention
    try:
        yield
    finally:
        module.grid_attention = fast
