"""Thresholds and the decisions by them, against the definition."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_rlr.detectors.decision_thresholds import DecisionThresholds, decide
from keras_rlr.detectors.score_thresholds import MARGINS, threshold_from_scores
from tests.products import elements_of
from tests.tiny_model import ONE_LEVEL, tiny_model, tiny_simplenet

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


def test_graphs_decide_by_the_same_rule():
    thresholds = DecisionThresholds()
    thresholds.calibrate(np.arange(20.0), [None] * 20, 0.1)
    scores = np.array([0.1, np.nan, 18.5, 25, np.inf, -np.inf, -1e30], "float32")
    outputs = thresholds.graph_function()(
        {"anomaly_score": ops.convert_to_tensor(scores)}
    )
    found = ops.convert_to_numpy(outputs["is_anomalous"])
    np.testing.assert_array_equal(found, decide(scores, thresholds.threshold))


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


@pytest.mark.parametrize("make", [tiny_model, tiny_simplenet])
def test_a_copy_that_computes_more_coarsely_has_thresholds_with_its_margin(make):
    """Else the images that set them would be anomalous to it."""
    model = make(**({} if make is tiny_simplenet else ONE_LEVEL))
    normal = elements_of({"bolt": 12, "nut": 10})
    if make is tiny_simplenet:
        model.adapt(normal)
    model.calibrate(normal, false_positive_rate=0.1)
    copy = model.compact("mixed_bfloat16")

    def wider(value):
        return pytest.approx(value + abs(value) * (1e-2 - 1e-4))

    assert copy.threshold == wider(model.threshold)
    for own, found in (
        (model.thresholds.by_category, copy.thresholds.by_category),
        (model.thresholds.pixels.by_category, copy.thresholds.pixels.by_category),
        ([("", model.pixel_threshold)], [("", copy.pixel_threshold)]),
    ):
        assert dict(found) == {name: wider(value) for name, value in dict(own).items()}
    same = model.compact("float64")
    assert same.threshold == pytest.approx(model.threshold)
    if make is tiny_model:
        was = model.predict(normal, verbose=0)["is_anomalous"]
        assert not (copy.predict(normal, verbose=0)["is_anomalous"] & ~was).any()


def test_a_state_dict_of_pytorch_takes_the_thresholds_of_categories_away():
    """It holds the threshold of all images, as Keras' `set_weights`."""
    if keras.backend.backend() != "torch":
        pytest.skip("PyTorch's method")
    model = tiny_model(**ONE_LEVEL)
    model.thresholds.calibrate(np.arange(100.0), [None] * 100, 0.1)
    threshold = model.threshold
    assert list(model.parameters())  # Keras tells PyTorch of them when it is asked.
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.thresholds.calibrate(np.arange(40.0), [*"ab"] * 20, 0.1)
    assert model.thresholds.by_category
    model.load_state_dict(state)
    assert model.thresholds.by_category == {}
    assert model.threshold == threshold
