import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.metrics.score_bins import bin_index, check_resolution, lower_edge

pytestmark = pytest.mark.backend_independent

FLOATS = st.floats(width=32, allow_nan=False).filter(lambda value: value != 0)


def index(value, resolution):
    bits = np.array([value], "float32").view("int32")
    return int(bin_index(bits, resolution, np.where)[0])


@given(FLOATS, FLOATS, st.integers(10, 24))
def test_bins_ascend_with_the_scores(a, b, resolution):
    low, high = sorted((a, b))
    assert 0 <= index(low, resolution) <= index(high, resolution) < 1 << resolution


@given(st.floats(2.0**-100, 2.0**100, width=32), st.integers(10, 24))
def test_a_bin_has_a_fixed_relative_width(value, resolution):
    edge = lower_edge(index(value, resolution), resolution)
    assert edge <= value
    assert (value - edge) / value < 2.0 ** (9 - resolution)


@given(FLOATS, st.integers(10, 24))
def test_the_lower_edge_is_the_first_of_its_bin(value, resolution):
    number = index(value, resolution)
    edge = lower_edge(number, resolution)
    if np.isfinite(edge):
        assert index(edge, resolution) == number or edge == 0
    if np.isfinite(edge) and edge != 0:
        before = np.nextafter(np.float32(edge), np.float32(-np.inf))
        assert before == 0 or index(before, resolution) == number - 1


@pytest.mark.parametrize("resolution", [9, 25, 10.5, "20", None])
def test_refuses_a_resolution(resolution):
    with pytest.raises(ValueError, match="from 10 to 24. Received"):
        check_resolution(resolution)
