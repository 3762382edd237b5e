"""The one function through which every attention of the package runs."""

import math

from keras import ops

from keras_rlr.layers.neighborhood import window_mask

HIDDEN = -1e30


def grid_attention(query, key, value, grid, window=None, visible="all"):
    """Scaled dot-product attention between the tokens of two grids.

    Args:
        query: Tensor (batch, heads, tokens, head_dim).
        key: Tensor (batch or 1, heads, tokens, head_dim).
        value: Tensor (batch or 1, heads, tokens, head_dim).
        grid: (height, width) of the token grid; tokens are row-major.
        window: Odd side of the window; unused when `visible` is "all".
        visible: "all"; "inside": a token sees only the window around it;
            "outside": it sees everything but that window.

    Returns:
        Tensor (batch, heads, tokens, head_dim) in the dtype of `query`. The softmax
        is computed in float32 whatever the dtype.
    """
    scale = 1.0 / math.sqrt(query.shape[-1])
    scores = ops.matmul(query * scale, ops.transpose(key, (0, 1, 3, 2)))
    scores = ops.cast(scores, "float32")
    if visible != "all":
        inside = window_mask(*grid, window)
        shown = inside if visible == "inside" else ~inside
        scores = ops.where(ops.convert_to_tensor(shown, "bool"), scores, HIDDEN)
    weights = ops.cast(ops.softmax(scores, axis=-1), value.dtype)
    return ops.matmul(weights, value)
