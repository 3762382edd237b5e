"""Attention without a thought for speed: what the package is compared to.

It makes the matrix of all tokens by all tokens, hides what must not be seen by a mask
made anew in every call, and keeps all of it for the gradient; what depends on the
reference alone is computed for every image.
"""

import contextlib
import math

import numpy as np
from keras import ops

from keras_rlr.layers import grid_attention as module


def naive_attention(query, key, value, grid, window=None, visible="all"):
    """`keras_rlr.layers.attention.grid_attention`, dense."""
    batch = query.shape[0]
    key, value = (
        ops.repeat(part, batch // part.shape[0], axis=0) for part in (key, value)
    )
    query = query / math.sqrt(query.shape[-1])
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
    if visible != "all":
        near = [
            np.abs(np.arange(side)[:, None] - np.arange(side)) <= window // 2
            for side in grid
        ]
        inside = near[0][:, None, :, None] & near[1][None, :, None, :]
        shown = inside if visible == "inside" else ~inside
        mask = np.where(shown, np.float32(0), np.float32(-1e30))
        scores = scores + ops.convert_to_tensor(mask.reshape(scores.shape[-2:]))
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
