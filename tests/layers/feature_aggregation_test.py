import numpy as np
import pytest

from keras_rlr.layers import FeatureAggregation
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.random_tokens import random_tokens

pytestmark = pytest.mark.optimized


def test_contract():
    check_layer(FeatureAggregation(), random_tokens(2, 4, 5, 3))


def test_equals_the_authors(golden):
    arrays = golden("scoring")
    output = FeatureAggregation()(arrays["aggregate_input"])
    assert_close(output, arrays["aggregate_output"])


@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("grid", [(4, 7), (2, 1)])
def test_zeros_beyond_the_border_count_in_the_mean(grid, window):
    features = random_tokens(2, *grid, 3)
    radius = window // 2
    expected = np.zeros(features.shape)
    for row in range(grid[0]):
        for column in range(grid[1]):
            rows = slice(max(0, row - radius), row + radius + 1)
            columns = slice(max(0, column - radius), column + radius + 1)
            total = features[:, rows, columns].sum(axis=(1, 2))
            expected[:, row, column] = total / window**2
    assert_close(FeatureAggregation(window)(features), expected)


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match="must be odd"):
        FeatureAggregation(2)
