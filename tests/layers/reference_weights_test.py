import numpy as np
import pytest
from keras import ops

from keras_rlr.layers import ReferenceWeights
from tests.layer_test_case import check_layer
from tests.layers.random_tokens import random_tokens


def test_contract():
    check_layer(ReferenceWeights(seed=0), random_tokens(2, 3, 5, 4), weights=1)


def test_returns_its_rows_as_a_row_major_grid_whatever_the_features():
    layer = ReferenceWeights()
    layer.build((None, 3, 5, 4))
    rows = random_tokens(15, 4)
    layer.reference.assign(rows)
    for features in (np.zeros((2, 3, 5, 4), "float32"), random_tokens(1, 3, 5, 4)):
        output = ops.convert_to_numpy(layer(features))
        np.testing.assert_array_equal(output, rows.reshape(1, 3, 5, 4))


def test_several_tokens_of_a_place_are_side_by_side():
    layer = ReferenceWeights(seed=0, tokens=2, starts_from_data=True)
    check_layer(layer, random_tokens(2, 3, 5, 4), weights=1, frozen_weights=1)
    assert layer.is_to_start
    tokens = random_tokens(3, 5, 2, 4)
    layer.start(tokens)
    assert not layer.is_to_start
    output = ops.convert_to_numpy(layer(np.zeros((1, 3, 5, 4), "float32")))
    np.testing.assert_array_equal(output[0, :, 0::2], tokens[:, :, 0])
    np.testing.assert_array_equal(output[0, :, 1::2], tokens[:, :, 1])


@pytest.mark.parametrize("tokens", [0, 1.5, True])
def test_a_number_of_tokens_that_is_none_is_refused(tokens):
    with pytest.raises(ValueError, match="whole number of tokens"):
        ReferenceWeights(tokens=tokens)


def test_a_grid_that_is_not_static_is_refused():
    with pytest.raises(ValueError, match="must be known"):
        ReferenceWeights().build((None, None, 5, 4))
