import numpy as np
import pytest
from keras import ops

from keras_rlr.layers import LocalCrossAttention
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.naive_attention import in_window, naive_attention
from tests.layers.random_tokens import random_tokens, with_random_weights

pytestmark = pytest.mark.optimized


def test_contract():
    tokens, reference = random_tokens(2, 4, 5, 8), random_tokens(2, 4, 5, 8, seed=1)
    check_layer(
        LocalCrossAttention(3, num_heads=2, seed=0), tokens, reference, weights=8
    )


@pytest.mark.parametrize("window", [1, 3, 5, 15])
@pytest.mark.parametrize("grid", [(4, 7), (5, 3)])
def test_equals_a_naive_one_also_with_windows_larger_than_the_grid(grid, window):
    tokens, reference = random_tokens(2, *grid, 8), random_tokens(1, *grid, 8, seed=1)
    layer = with_random_weights(LocalCrossAttention(window, num_heads=4), tokens.shape)
    expected = naive_attention(
        layer,
        tokens,
        reference,
        reference,
        lambda i, j: in_window(i, j, grid[1], window),
    )
    assert_close(layer(tokens, reference), expected)


def test_several_tokens_of_a_place_are_all_seen_or_none():
    tokens, reference = random_tokens(2, 4, 5, 8), random_tokens(1, 4, 15, 8, seed=1)
    layer = with_random_weights(LocalCrossAttention(3, num_heads=2), tokens.shape)

    def attends(i, j):
        return in_window(i, j, 5, 3)

    expected = naive_attention(layer, tokens, reference, reference, attends)
    assert_close(layer(tokens, reference), expected)


def test_a_token_sees_nothing_of_the_reference_beyond_its_window():
    tokens, reference = random_tokens(1, 6, 8, 8), random_tokens(1, 6, 8, 8, seed=1)
    layer = with_random_weights(LocalCrossAttention(3, num_heads=2), tokens.shape)
    changed = reference.copy()
    changed[0, 2, 5] += 10.0
    before = ops.convert_to_numpy(layer(tokens, reference))[0]
    after = ops.convert_to_numpy(layer(tokens, changed))[0]
    moved = np.abs(after - before).max(axis=-1) > 1e-4
    expected = np.zeros((6, 8), bool)
    expected[1:4, 4:7] = True
    np.testing.assert_array_equal(moved, expected)


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match="use 3 or 5"):
        LocalCrossAttention(4)
