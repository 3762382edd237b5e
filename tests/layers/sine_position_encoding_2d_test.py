import math

import numpy as np
import pytest

from keras_rlr.layers import SinePositionEncoding2D
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.random_tokens import random_tokens

pytestmark = pytest.mark.optimized


def test_contract():
    check_layer(SinePositionEncoding2D(), random_tokens(2, 3, 5, 8))


@pytest.mark.parametrize("height, width, dim", [(3, 7, 12), (8, 2, 32), (64, 64, 4)])
def test_equals_the_formula_place_by_place(height, width, dim):
    half = dim // 2
    expected = np.zeros((1, height, width, dim))
    for row in range(height):
        for column in range(width):
            for start, position in ((0, column), (half, row)):
                for channel in range(0, half, 2):
                    angle = position / 10000 ** (channel / half)
                    place = expected[0, row, column]
                    place[start + channel] = math.sin(angle)
                    place[start + channel + 1] = math.cos(angle)
    code = SinePositionEncoding2D()(np.zeros((2, height, width, dim), "float32"))
    assert_close(code, expected)


def test_a_width_that_4_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="divisible by 4"):
        SinePositionEncoding2D().build((None, 4, 4, 6))
