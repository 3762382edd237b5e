import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_rlr.layers.counter_noise import counter_normal, counter_uniform
from tests.layers.counter_hash import naive_normal, naive_uniform

KEYS = np.array([[0, 0], [7, 1], [7, 2], [2**31 - 2, 2**31 - 2]], "int32")


@pytest.mark.parametrize("stream", [0, 3, 2**31 - 1])
def test_uniform_equals_the_hash_in_unsigned_integers_exactly(stream):
    values = ops.convert_to_numpy(counter_uniform(KEYS, 5000, stream))
    np.testing.assert_array_equal(values, naive_uniform(KEYS, 5000, stream))
    assert np.abs(values).max() < 1.0


def test_normal_equals_the_inverse_distribution():
    values = ops.convert_to_numpy(counter_normal(KEYS, 20000, stream=5))
    expected = naive_normal(KEYS, 20000, 5)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=2e-6)


def test_normal_is_standard_normal_for_every_key():
    for values in ops.convert_to_numpy(counter_normal(KEYS, 50000, stream=1)):
        assert stats.kstest(values, "norm").pvalue > 0.01
        assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.02


def test_keys_and_streams_give_unrelated_noise():
    draws = np.concatenate(
        [ops.convert_to_numpy(counter_normal(KEYS, 20000, stream)) for stream in (0, 1)]
    )
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 0.03
