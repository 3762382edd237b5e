"""Thresholds and the decisions by them, against the definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.detectors.decision_thresholds import decide
from keras_rlr.detectors.score_thresholds import MARGINS, threshold_from_scores

pytestmark = pytest.mark.backend_independent

SCORES = st.lists(st.floats(0, 1e6, width=32), min_size=4, max_size=40)


@given(SCORES, st.sampled_from([0.2, 0.25, 0.5]), st.sampled_from(list(MARGINS)))
def test_the_score_that_sets_a_threshold_is_below_it_whatever_its_rounding(
    scores, rate, dtype
):
    margin = MARGINS[dtype]
    threshold = threshold_from_scores(np.array(scores, "float32"), rate, margin)
    ranked = sorted(scores)
    rank = math.ceil(round((len(scores) + 1) * (1 - rate), 9))
    set_by = ranked[rank - 1]
    assert set_by < threshold <= set_by * (1 + 1.01 * margin) + 1e-11
    rounded = set_by * (1 + np.linspace(-0.9, 0.9, 7) * margin)
    assert not decide(rounded, threshold).any()
    # No more images are called anomalous than by the score itself.
    assert sum(decide(np.array(scores), threshold)) <= sum(
        score > set_by for score in scores
    )


def test_a_score_that_is_no_number_is_never_normal():
    scores = np.array([0.1, np.nan, 0.5, 0.7, np.inf, -np.inf], "float32")
    assert decide(scores, 0.5).tolist() == [False, True, True, True, True, True]
    assert decide(np.float32("nan"), 0.5)


def test_thresholds_of_each_image():
    assert decide([1.0, 1.0], [0.5, 1.5]).tolist() == [True, False]
    # A threshold is compared as exports do, in float32.
    assert decide(np.float32(0.1), 0.1)


@pytest.mark.parametrize("rate", [0, 1, -0.1, np.nan, None, "0.1"])
def test_a_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(ValueError, match="a number above 0 and below 1"):
        threshold_from_scores(np.arange(200.0), rate)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_threshold_comes_of_scores_that_are_no_numbers(bad):
    scores = np.array([1.0, 2.0, bad, 3.0, bad], "float32")
    with pytest.raises(FloatingPointError, match=r"2 of 5 .* that of image 2\)"):
        threshold_from_scores(scores, 0.25)
