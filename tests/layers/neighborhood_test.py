import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.layers.neighborhood import (
    validate_window,
    window_hides_grid,
    window_mask,
)
from tests.layers.naive_attention import in_window

pytestmark = pytest.mark.backend_independent

sides = st.integers(1, 7)
windows = st.integers(0, 5).map(lambda radius: 2 * radius + 1)


@given(sides, sides, windows)
def test_window_mask_is_the_neighbourhood_of_each_token(height, width, window):
    tokens = range(height * width)
    expected = [[in_window(i, j, width, window) for j in tokens] for i in tokens]
    np.testing.assert_array_equal(window_mask(height, width, window), expected)


@given(sides, sides, windows)
def test_window_hides_the_grid_when_some_token_sees_nothing_else(height, width, window):
    sees_nothing = window_mask(height, width, window).all(axis=1).any()
    assert window_hides_grid(height, width, window) == sees_nothing


def test_window_mask_is_shared_and_read_only():
    mask = window_mask(3, 4, 3)
    assert mask is window_mask(3, 4, 3)
    with pytest.raises(ValueError, match="read-only"):
        mask[0, 0] = False


@pytest.mark.parametrize("window", [1, 3, 11, np.int64(5)])
def test_odd_windows_are_accepted(window):
    assert validate_window(window) == int(window)
    assert type(validate_window(window)) is int


@pytest.mark.parametrize("window", [2, 4, 10])
def test_an_even_window_is_refused_with_its_neighbours(window):
    with pytest.raises(ValueError, match=f"use {window - 1} or {window + 1}"):
        validate_window(window)


@pytest.mark.parametrize("window", [0, -1, 2.5, True, 7.0, None, "3"])
def test_what_is_no_window_is_refused(window):
    with pytest.raises(ValueError, match="odd integer of at least 1"):
        validate_window(window)
