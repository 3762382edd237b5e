"""The one function through which every attention of the package runs."""

import math
from typing import Any

from keras_rlr.layers.blockwise_attention import (
    blockwise_attention,
    fused_blockwise_attention,
)
from keras_rlr.layers.masked_attention import has_fused_attention
from keras_rlr.layers.windowed_attention import windowed_attention


def grid_attention(
    query: Any,
    key: Any,
    value: Any,
    grid: tuple[int, int],
    window: Any = None,
    visible: str = "all",
) -> Any:
    """Scaled dot-product attention between the tokens of two grids.

    Args:
        query: Tensor (batch, heads, tokens, head_dim).
        key: Tensor (batch or 1, heads, tokens · K, head_dim): K of each place, one
            after the other; the window around a token shows or hides all K.
        value: Tensor (batch or 1, heads, tokens · K, head_dim).
        grid: (height, width) of the token grid; tokens are row-major.
        window: Odd side of the window; unused when `visible` is "all".
        visible: "all"; "inside": a token sees only the window around it;
            "outside": it sees everything but that window.

    Returns:
        Tensor (batch, heads, tokens, head_dim) in the dtype of `query`. The softmax
        is computed in float32 whatever the dtype. No matrix of all tokens by all
        tokens is made.
    """
    query = query * (1.0 / math.sqrt(query.shape[-1]))
    if visible == "inside":
        return windowed_attention(query, key, value, grid, window)
    hidden = window if visible == "outside" else None
    if has_fused_attention():
        return fused_blockwise_attention(query, key, value, grid, hidden)
    return blockwise_attention(query, key, value, grid, hidden)
