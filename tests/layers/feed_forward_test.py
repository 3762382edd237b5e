import pytest
from scipy.special import erf

from keras_rlr.layers import FeedForward
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.naive_attention import project
from tests.layers.random_tokens import random_tokens, with_random_weights

pytestmark = pytest.mark.optimized


def test_contract():
    check_layer(FeedForward(seed=0), random_tokens(2, 4, 5, 8), weights=4)


@pytest.mark.parametrize("expansion", [1, 4])
def test_equals_two_dense_layers_with_the_exact_gelu_between(expansion):
    tokens = random_tokens(2, 4, 5, 8)
    layer = with_random_weights(FeedForward(expansion), tokens.shape)
    hidden = project(layer.dense_1, tokens)
    assert hidden.shape[-1] == 8 * expansion
    hidden = hidden * (1 + erf(hidden / 2**0.5)) / 2
    assert_close(layer(tokens), project(layer.dense_2, hidden))
