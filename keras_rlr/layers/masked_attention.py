"""Attention with a mask, written out, and by PyTorch's fused kernel."""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.layers.loops import entries_at_a_time, map_entries

HIDDEN = -1e30


def has_fused_attention() -> bool:
    """Whether the backend has a kernel that never stores the attention weights."""
    return keras.backend.backend() == "torch"


def hidden_scores(shown: Any, dtype: Any) -> Any:
    """What to add to scores: 0 where a key is shown, -inf where it is hidden.

    Args:
        shown: Boolean array or tensor.
        dtype: Of the result.

    Returns:
        Tensor of the shape of `shown`.
    """
    shown = ops.convert_to_tensor(shown, "bool")
    zero, hidden = (ops.cast(value, dtype) for value in (0.0, float("-inf")))
    return ops.where(shown, zero, hidden)


def fused_attention(query: Any, key: Any, value: Any, hidden: Any = None) -> Any:
    """PyTorch's `scaled_dot_product_attention`; see `masked_attention`.

    Give it the mask as numbers. From a boolean one it makes its own mask of numbers and
    keeps that for the gradient, once for each call.

    Args:
        query: Tensor (sets, groups, queries, d), scaled already.
        key: Tensor (sets, groups, keys, d).
        value: Tensor (sets, groups, keys, d).
        hidden: `hidden_scores` that broadcast to (sets, groups, queries, keys), or
            None.

    Returns:
        Tensor of the shape and dtype of `query`.
    """
    import torch

    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=hidden, scale=1.0
    )


def masked_attention(query: Any, key: Any, value: Any, shown: Any) -> Any:
    """Scaled dot-product attention to the keys that are shown.

    The weights are not kept for the gradient; they are computed anew.

    Args:
        query: Tensor (groups, sets, times · queries, d), scaled already.
        key: Tensor (groups, sets, keys, d).
        value: Tensor (groups, sets, keys, d).
        shown: Boolean array (sets, queries, keys): what each query sees, the same each
            time.

    Returns:
        Tensor of the shape and dtype of `query`. The softmax is computed in float32.
    """
    if has_fused_attention():
        hidden = hidden_scores(shown, query.dtype)
        times = query.shape[2] // shown.shape[1]
        hidden = ops.tile(hidden, (1, times, 1))[None]
        return fused_attention(query, key, value, hidden)
    written_out = keras.remat(functools.partial(_written_out, shown=shown))
    if keras.backend.backend() == "jax":
        scores = query.shape[1] * query.shape[2] * key.shape[2]
        (attended,) = map_entries(
            lambda *group: (written_out(*group),),
            (query, key, value),
            (query,),
            entries_at_a_time(scores),
        )
        return attended
    return written_out(query, key, value)


def _written_out(query, key, value, shown):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    by_time = (*ops.shape(scores)[:-2], -1, *shown.shape[1:])
    weights = hidden_softmax(ops.reshape(scores, by_time), shown[:, None])
    weights = ops.reshape(ops.cast(weights, value.dtype), ops.shape(scores))
    return ops.matmul(weights, value)


def hidden_softmax(scores: Any, shown: Any) -> Any:
    """Softmax over the last axis, of the shown scores alone, always in float32.

    Args:
        scores: Tensor.
        shown: Boolean array that broadcasts to it; None shows everything.

    Returns:
        float32 tensor of the shape of `scores`; hidden entries are 0.
    """
    scores = ops.cast(scores, "float32")
    if shown is not None:
        # HIDDEN is so large that the score is lost when it is added, and all hidden
        # scores become equal. LiteRT adds faster than it selects.
        scores = ops.add(scores, np.where(shown, 0.0, HIDDEN).astype("float32"))
    return ops.softmax(scores, axis=-1)
