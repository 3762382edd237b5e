import math

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import f1_score

from keras_rlr.metrics.functional import f1_max
from tests.metrics.labelled_scores import labelled_scores

pytestmark = pytest.mark.backend_independent


def test_equals_the_golden_values(golden):
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
def test_is_the_best_of_every_threshold(pairs):
    labels, scores = pairs
    attained = {t: f1_score(labels, scores >= t) for t in set(scores.tolist())}
    best = max(attained.values())
    value, threshold = f1_max(labels, scores)
    assert value == pytest.approx(best, abs=1e-12)
    assert threshold == max(t for t, f1 in attained.items() if f1 > best - 1e-12)


def test_constant_scores_call_everything_anomalous():
    assert f1_max([0, 1, 0], np.ones(3)) == (0.5, 1.0)


def test_of_two_equal_thresholds_the_larger_is_returned():
    # F1 = 2/3 at 3 (1 of 2 found, none false) and at 1 (both found, 2 false).
    value, threshold = f1_max([1, 0, 0, 1], [3.0, 2.0, 1.0, 1.0])
    assert value == pytest.approx(2 / 3)
    assert threshold == 3.0


def test_returns_python_floats():
    value, threshold = f1_max([0, 1], np.array([1, 2], "float32"))
    assert type(value) is float
    assert type(threshold) is float


@pytest.mark.parametrize("label", [0, 1])
def test_a_single_class_is_nan_with_a_warning(label):
    with pytest.warns(UserWarning, match="F1-max is undefined without both classes"):
        assert all(map(math.isnan, f1_max([label] * 3, [1.0, 2.0, 3.0])))
