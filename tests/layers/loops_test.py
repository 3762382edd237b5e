"""The 1 that converters don't know is one, whatever it is made of."""

import numpy as np
import pytest
from keras import ops

from keras_rlr.layers.loops import unknown_one, written_out_loops


@pytest.mark.parametrize("value", [0, -3, 5e4, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_is_one_of_any_number(value, dtype):
    x = ops.full((2, 3, 4), value, dtype)
    with written_out_loops():
        one = unknown_one(x)
    assert ops.convert_to_numpy(one) == 1
    assert ops.shape(one) == ()


def test_is_one_of_no_image():
    with written_out_loops():
        assert ops.convert_to_numpy(unknown_one(ops.zeros((0, 3, 4)))) == 1


def test_is_a_plain_number_elsewhere():
    assert unknown_one(ops.zeros((2, 3))) == 1.0
