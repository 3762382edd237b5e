import numpy as np
import pytest
from keras import ops
from scipy.special import erf

from keras_rlr.layers import GridAttention, ReconstructionBlock
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.naive_attention import in_window, naive_attention, project
from tests.layers.random_tokens import random_tokens, with_random_weights

pytestmark = pytest.mark.optimized

# Table 3 of the paper: what attends, with a residual or not, and each branch's factor.
ROWS = {
    "cross-attention": (("cross",), False, (3.0,)),
    "MLKA": (("mlka",), False, (1.0,)),
    "LCA": (("lca",), False, (3.0,)),
    "cross-attention + MLKA": (("cross", "mlka"), False, (3.0, 1.0)),
    "MLKA + LCA": (("mlka", "lca"), False, (1.0, 3.0)),
    "self-attention + residual": (("self",), True, (1.0,)),
    "cross-attention + residual": (("cross",), True, (1.0,)),
}


def naive_branch(block, name, tokens, reference):
    width, window = tokens.shape[2], block.window
    key = tokens if name == "self" else reference
    value = tokens if name in ("self", "mlka") else reference

    def attends(i, j):
        inside = in_window(i, j, width, window)
        return {"mlka": not inside, "lca": inside}.get(name, True)

    return naive_attention(getattr(block, name), tokens, key, value, attends)


def naive_norm(layer, tokens):
    centred = tokens - tokens.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(tokens.var(axis=-1, keepdims=True) + 1e-5)
    gamma, beta = (ops.convert_to_numpy(weight) for weight in layer.weights)
    return scaled * gamma + beta


def naive_feed_forward(layer, tokens):
    hidden = project(layer.dense_1, tokens)
    return project(layer.dense_2, hidden * (1 + erf(hidden / 2**0.5)) / 2)


def test_contract():
    tokens, reference = random_tokens(2, 4, 5, 8), random_tokens(2, 4, 5, 8, seed=1)
    block = ReconstructionBlock(3, num_heads=2, seed=0)
    check_layer(block, tokens, reference, weights=2 * 8 + 2 * 2 + 4)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_table_3_equals_a_naive_block(row):
    attentions, residual, factors = ROWS[row]
    tokens, reference = random_tokens(2, 4, 5, 8), random_tokens(1, 4, 5, 8, seed=1)
    block = ReconstructionBlock(
        3, num_heads=2, alpha=3.0, attentions=attentions, residual=residual
    )
    with_random_weights(block, tokens.shape)
    mixed = tokens * float(residual)
    for name, factor in zip(attentions, factors, strict=True):
        mixed = mixed + factor * naive_branch(block, name, tokens, reference)
    mixed = naive_norm(block.attention_norm, mixed)
    expected = naive_norm(block.ffn_norm, naive_feed_forward(block.ffn, mixed) + mixed)
    assert_close(block(tokens, reference), expected)


def test_a_block_has_only_the_branches_it_uses():
    block = ReconstructionBlock(3, num_heads=2, attentions="cross")
    block.build((None, 4, 4, 8))
    assert type(block.cross) is GridAttention
    assert not hasattr(block, "mlka")
    assert len(block.weights) == 8 + 2 * 2 + 4


def test_without_mlka_a_window_may_cover_the_grid():
    block = ReconstructionBlock(9, num_heads=2, attentions=("lca",))
    assert block(random_tokens(1, 3, 3, 8), random_tokens(1, 3, 3, 8)).shape == (
        (1, 3, 3, 8)
    )
    with pytest.raises(ValueError, match="hides the whole 3x3 grid"):
        ReconstructionBlock(9, num_heads=2).build((None, 3, 3, 8))


@pytest.mark.parametrize("attentions", [(), ("mlka", "mlka"), ("lca", "mlkb"), ""])
def test_unknown_or_repeated_branches_are_refused(attentions):
    with pytest.raises(ValueError, match="one or more of 'mlka', 'lca', 'cross'"):
        ReconstructionBlock(3, attentions=attentions)
