import numpy as np
import pytest
from keras import ops

from keras_rlr.layers import MaskedLearnableKeyAttention
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.naive_attention import in_window, naive_attention
from tests.layers.random_tokens import random_tokens, with_random_weights

pytestmark = pytest.mark.optimized


def test_contract():
    tokens, reference = random_tokens(2, 4, 5, 8), random_tokens(2, 4, 5, 8, seed=1)
    layer = MaskedLearnableKeyAttention(3, num_heads=2, seed=0)
    check_layer(layer, tokens, reference, weights=8)


@pytest.mark.parametrize(
    "grid, window", [((4, 7), 1), ((4, 7), 3), ((7, 3), 5), ((1, 8), 7)]
)
def test_equals_a_naive_one(grid, window):
    tokens, reference = random_tokens(2, *grid, 8), random_tokens(1, *grid, 8, seed=1)
    layer = MaskedLearnableKeyAttention(window, num_heads=4)
    with_random_weights(layer, tokens.shape)
    expected = naive_attention(
        layer,
        tokens,
        reference,
        tokens,
        lambda i, j: not in_window(i, j, grid[1], window),
    )
    assert_close(layer(tokens, reference), expected)


def test_several_keys_of_a_place_are_all_seen_or_none():
    tokens, reference = random_tokens(2, 4, 5, 8), random_tokens(1, 4, 15, 8, seed=1)
    layer = MaskedLearnableKeyAttention(3, num_heads=2)
    with_random_weights(layer, tokens.shape)

    def attends(i, j):
        return not in_window(i, j, 5, 3)

    expected = naive_attention(layer, tokens, reference, tokens, attends)
    assert_close(layer(tokens, reference), expected)


def test_a_changed_token_reaches_no_token_in_whose_window_it_lies():
    tokens, reference = random_tokens(1, 6, 8, 8), random_tokens(1, 6, 8, 8, seed=1)
    layer = MaskedLearnableKeyAttention(3, num_heads=2)
    with_random_weights(layer, tokens.shape)
    # The query of the changed token changes too, so it is left out of the comparison.
    changed = tokens.copy()
    changed[0, 2, 5] += 10.0
    before = ops.convert_to_numpy(layer(tokens, reference))[0]
    after = ops.convert_to_numpy(layer(changed, reference))[0]
    moved = np.abs(after - before).max(axis=-1) > 1e-6
    expected = np.ones((6, 8), bool)
    expected[1:4, 4:7] = False
    moved[2, 5] = False
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("grid, window", [((4, 4), 5), ((5, 5), 5), ((1, 1), 1)])
def test_a_window_that_hides_the_whole_grid_is_refused(grid, window):
    message = f"hides the whole {grid[0]}x{grid[1]} grid.* at least {window + 1} tokens"
    with pytest.raises(ValueError, match=message):
        MaskedLearnableKeyAttention(window, num_heads=2).build((None, *grid, 8))


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match="use 5 or 7"):
        MaskedLearnableKeyAttention(6)
