"""What is taken for an image size, and in what form it is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.image_size import (
    checked_image_size,
    height_and_width,
    image_size_from_words,
    image_size_in_words,
)

pytestmark = pytest.mark.backend_independent
SIDES = st.integers(1, 99999)


@given(SIDES, SIDES)
def test_words_and_numbers_say_the_same(height, width):
    size = checked_image_size((height, width))
    assert height_and_width(size) == (height, width)
    assert isinstance(size, int) == (height == width)
    assert image_size_from_words(image_size_in_words(size)) == size
    assert image_size_from_words(f" {height} X {width} ") == size


@pytest.mark.parametrize(
    "given_size", [256, np.int64(256), [256], (256, np.int32(256))]
)
def test_a_square_is_its_side(given_size):
    size = checked_image_size(given_size)
    assert size == 256
    assert type(size) is int


@pytest.mark.parametrize(
    "given_size", [256.0, "256", True, None, (), (1, 2, 3), (1, "2")]
)
def test_what_is_no_size_is_refused(given_size):
    with pytest.raises(ValueError, match="image_size must be an integer"):
        checked_image_size(given_size)


@pytest.mark.parametrize(
    "words", ["", "256x", "x640", "-3", "1x2x3", "2.5", "\u0661x\u0662"]
)
def test_what_words_mean_no_size_is_refused(words):
    with pytest.raises(ValueError, match="256x640"):
        image_size_from_words(words)
