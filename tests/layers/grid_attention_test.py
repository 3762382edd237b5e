import numpy as np
import pytest
from keras import ops

from keras_rlr.layers import GridAttention
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.naive_attention import in_window, naive_attention
from tests.layers.random_tokens import random_tokens, with_random_weights

pytestmark = pytest.mark.optimized


def test_contract():
    tokens = random_tokens(2, 3, 5, 8)
    check_layer(GridAttention(num_heads=2, seed=0), tokens, tokens, tokens, weights=8)


@pytest.mark.parametrize("num_heads", [1, 2, 4, 8])
@pytest.mark.parametrize("grid", [(3, 5), (6, 2)])
def test_plain_attention_equals_a_naive_one(grid, num_heads):
    query, key, value = (random_tokens(2, *grid, 8, seed=seed) for seed in range(3))
    layer = with_random_weights(GridAttention(num_heads), query.shape)
    expected = naive_attention(layer, query, key, value, lambda i, j: True)
    assert_close(layer(query, key, value), expected)


@pytest.mark.parametrize("visible", ["inside", "outside"])
def test_limited_attention_equals_a_naive_one(visible):
    query, key, value = (random_tokens(2, 4, 5, 8, seed=seed) for seed in range(3))
    layer = GridAttention(num_heads=2, window=3, visible=visible)
    with_random_weights(layer, query.shape)

    def attends(i, j):
        return in_window(i, j, 5, 3) == (visible == "inside")

    expected = naive_attention(layer, query, key, value, attends)
    assert_close(layer(query, key, value), expected)


def test_a_single_key_serves_the_whole_batch():
    query = random_tokens(3, 4, 4, 8)
    key = random_tokens(1, 4, 4, 8, seed=1)
    layer = with_random_weights(GridAttention(num_heads=2), query.shape)
    repeated = np.repeat(key, 3, axis=0)
    expected = ops.convert_to_numpy(layer(query, repeated, repeated))
    assert_close(layer(query, key, key), expected, 1e-6)


def test_as_many_keys_as_there_are_may_share_a_place():
    """And all of them the one value of the place, or have one each."""
    query, key = random_tokens(2, 3, 4, 8), random_tokens(1, 3, 8, 8, seed=1)
    layer = with_random_weights(GridAttention(num_heads=2), query.shape)
    for value in (random_tokens(2, 3, 4, 8, seed=2), random_tokens(1, 3, 8, 8, seed=2)):
        expected = naive_attention(layer, query, key, value, lambda i, j: True)
        assert_close(layer(query, key, value), expected)


def test_large_scores_stay_finite():
    tokens = 1e4 * random_tokens(1, 4, 4, 8)
    layer = with_random_weights(
        GridAttention(2, window=3, visible="outside"), (1, 4, 4, 8)
    )
    assert np.all(np.isfinite(ops.convert_to_numpy(layer(tokens, tokens, tokens))))


@pytest.mark.parametrize("num_heads", [0, 3, 16])
def test_heads_that_do_not_divide_the_width_are_refused(num_heads):
    with pytest.raises(ValueError, match=f"num_heads={num_heads}, width 8"):
        GridAttention(num_heads).build((None, 4, 4, 8))


def test_an_unknown_visibility_and_a_missing_window_are_refused():
    with pytest.raises(ValueError, match="'all', 'inside' or 'outside'"):
        GridAttention(visible="around")
    with pytest.raises(ValueError, match="`window` must be"):
        GridAttention(visible="inside")


def test_a_window_that_hides_the_whole_grid_is_refused():
    with pytest.raises(ValueError, match="hides the whole 5x4 grid"):
        GridAttention(2, window=5, visible="outside").build((None, 5, 4, 8))
    GridAttention(2, window=5, visible="inside").build((None, 5, 4, 8))
