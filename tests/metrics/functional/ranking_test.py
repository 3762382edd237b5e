import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from keras_rlr.metrics import AUPRO, AUROC
from keras_rlr.metrics.functional import aupro, auroc, average_precision, f1_max
from tests.metrics.labelled_scores import labelled_scores

pytestmark = pytest.mark.backend_independent


def test_auroc_equals_the_golden_values(golden):
    arrays = golden("metrics")
    masks = arrays["masks"] > 0
    maps = arrays["maps"]
    image = auroc(masks.any((1, 2)), maps.max((1, 2)))
    assert image == pytest.approx(float(arrays["image_auroc"]), abs=1e-12)
    pixel = auroc(masks, maps)
    assert pixel == pytest.approx(float(arrays["pixel_auroc"]), abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        # Few distinct values make ties, which are where implementations differ.
        st.tuples(
            st.booleans(),
            st.one_of(
                st.integers(-2, 2).map(float),
                st.floats(-1e300, 1e300, allow_subnormal=False),
            ),
        ),
        min_size=2,
        max_size=60,
    ).filter(lambda pairs: len({label for label, _ in pairs}) == 2)
)
def test_auroc_equals_scikit_learn(pairs):
    labels, scores = map(list, zip(*pairs, strict=True))
    assert auroc(labels, scores) == pytest.approx(
        roc_auc_score(labels, scores), abs=1e-12
    )


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40
    ).filter(lambda pairs: len({label for label, _ in pairs}) == 2)
)
def test_auroc_counts_pairs(pairs):
    labels, scores = map(np.array, zip(*pairs, strict=True))
    difference = scores[labels][:, None] - scores[~labels]
    wins = (difference > 0).sum() + 0.5 * (difference == 0).sum()
    assert auroc(labels, scores) == wins / difference.size
    assert auroc(~labels, scores) == pytest.approx(1 - wins / difference.size)


def test_auroc_below_one_half_is_not_flipped():
    assert auroc([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1]) == 0.0


def test_auroc_returns_a_python_float_and_leaves_its_input_alone():
    scores = np.array([3.0, 1.0, 2.0], "float32")
    labels = np.array([True, False, True])
    assert type(auroc(labels, scores)) is float
    np.testing.assert_array_equal(scores, [3.0, 1.0, 2.0])
    np.testing.assert_array_equal(labels, [True, False, True])


def test_auroc_infinite_scores_are_ordered():
    assert auroc([0, 0, 1, 1], [-math.inf, 1.0, 1.0, math.inf]) == 0.875


def test_auroc_many_tied_values_do_not_overflow():
    count = 400_000
    labels = np.arange(count) % 2
    assert auroc(labels, np.zeros(count, "float32")) == 0.5
    assert auroc(labels, labels.astype("float32")) == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_auroc_a_single_class_is_nan_with_a_warning(label):
    with pytest.warns(UserWarning, match="AUROC is undefined without both classes"):
        assert math.isnan(auroc([label] * 3, [1.0, 2.0, 3.0]))


def test_auroc_both_classes_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        auroc([0, 1], [1.0, 2.0])


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [1.0, math.nan], "must hold no NaN. Received 1 among 2"),
        ([0, 1, 1], [1.0, 2.0], r"same shape. Received \(3,\) and \(2,\)"),
        ([0, 255], [1.0, 2.0], "a mask needs `mask > 0`"),
        ([0, 0.5], [1.0, 2.0], "0 .normal. and 1 .anomalous."),
    ],
)
def test_auroc_refuses(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        auroc(labels, scores)


def test_average_precision_equals_the_golden_values(golden):
    arrays = golden("metrics")
    masks, maps = arrays["masks"] > 0, arrays["maps"]
    image = average_precision(masks.any((1, 2)), maps.max((1, 2)))
    assert image == pytest.approx(float(arrays["image_ap"]), abs=1e-12)
    pixel = average_precision(masks, maps)
    assert pixel == pytest.approx(float(arrays["pixel_ap"]), abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(labelled_scores)
def test_average_precision_equals_scikit_learn(pairs):
    labels, scores = pairs
    assert average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


def test_average_precision_constant_scores_give_the_share_of_anomalous_values():
    assert average_precision([0, 1, 0, 0], np.zeros(4)) == 0.25


def test_average_precision_infinite_scores_are_ordered():
    assert average_precision([0, 1], [-math.inf, math.inf]) == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_average_precision_a_single_class_is_nan_with_a_warning(label):
    with pytest.warns(UserWarning, match="Average precision is undefined without both"):
        assert math.isnan(average_precision([label] * 3, [1.0, 2.0, 3.0]))


def test_average_precision_refuses_nan():
    with pytest.raises(ValueError, match="must hold no NaN. Received 1 among 2"):
        average_precision([0, 1], [1.0, math.nan])


def test_f1_max_equals_the_golden_values(golden):
    arrays = golden("metrics")
    masks, maps = arrays["masks"] > 0, arrays["maps"]
    image = f1_max(masks.any((1, 2)), maps.max((1, 2)))
    expected = [float(arrays[f"image_f1_{name}"]) for name in ("max", "threshold")]
    assert image == pytest.approx(expected, abs=1e-12)
    pixel = f1_max(masks, maps)
    expected = [float(arrays[f"pixel_f1_{name}"]) for name in ("max", "threshold")]
    assert pixel == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(labelled_scores)
def test_f1_max_is_the_best_of_every_threshold(pairs):
    labels, scores = pairs
    attained = {t: f1_score(labels, scores >= t) for t in set(scores.tolist())}
    best = max(attained.values())
    value, threshold = f1_max(labels, scores)
    assert value == pytest.approx(best, abs=1e-12)
    assert threshold == max(t for t, f1 in attained.items() if f1 > best - 1e-12)


def test_f1_max_constant_scores_call_everything_anomalous():
    assert f1_max([0, 1, 0], np.ones(3)) == (0.5, 1.0)


def test_f1_max_of_two_equal_thresholds_the_larger_is_returned():
    # F1 = 2/3 at 3 (1 of 2 found, none false) and at 1 (both found, 2 false).
    value, threshold = f1_max([1, 0, 0, 1], [3.0, 2.0, 1.0, 1.0])
    assert value == pytest.approx(2 / 3)
    assert threshold == 3.0


def test_f1_max_returns_python_floats():
    value, threshold = f1_max([0, 1], np.array([1, 2], "float32"))
    assert type(value) is float
    assert type(threshold) is float


@pytest.mark.parametrize("label", [0, 1])
def test_f1_max_a_single_class_is_nan_with_a_warning(label):
    with pytest.warns(UserWarning, match="F1-max is undefined without both classes"):
        assert all(map(math.isnan, f1_max([label] * 3, [1.0, 2.0, 3.0])))


@pytest.mark.parametrize(
    "metric",
    [
        auroc,
        average_precision,
        f1_max,
        aupro,
        lambda *pair: AUROC().update_state(*pair),
        lambda *pair: AUPRO().update_state(*pair),
    ],
)
def test_masked_values_are_refused(metric):
    """They were counted as if they were not masked."""
    label, score = np.array([[[0, 1, 1]]]), np.array([[[0.1, 0.9, 0.2]]])
    mask = np.array([[[False, False, True]]])
    for pair in (
        (np.ma.array(label, mask=mask), score),
        (label, np.ma.array(score, mask=mask)),
    ):
        with pytest.raises(ValueError, match="masked values, .* Leave them out"):
            metric(*pair)
    assert metric(label, np.ma.array(score)) == metric(label, score)
