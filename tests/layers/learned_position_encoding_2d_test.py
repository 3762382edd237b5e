import numpy as np
import pytest
from keras import ops

from keras_rlr.layers import LearnedPositionEncoding2D
from tests.layer_test_case import check_layer
from tests.layers.random_tokens import random_tokens


def test_contract():
    tokens = random_tokens(1, 3, 5, 8)
    check_layer(LearnedPositionEncoding2D(seed=0), tokens, weights=2)


def test_half_the_channels_are_of_the_column_and_half_of_the_row():
    layer = LearnedPositionEncoding2D(seed=1)
    code = ops.convert_to_numpy(layer(np.zeros((2, 3, 5, 8), "float32")))
    columns, rows = map(ops.convert_to_numpy, (layer.columns, layer.rows))
    assert columns.shape == (5, 4)
    assert rows.shape == (3, 4)
    for i in range(3):
        for j in range(5):
            np.testing.assert_array_equal(code[0, i, j], [*columns[j], *rows[i]])


def test_initial_values_are_uniform_from_0_to_1():
    layer = LearnedPositionEncoding2D(seed=1)
    layer.build((None, 40, 50, 64))
    for values in map(ops.convert_to_numpy, (layer.columns, layer.rows)):
        assert 0 <= values.min() < 0.01
        assert 0.99 < values.max() <= 1
        assert abs(values.mean() - 0.5) < 0.03


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="even width.* Received tokens of width 7"):
        LearnedPositionEncoding2D().build((None, 3, 5, 7))
