import math

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import average_precision_score

from keras_rlr.metrics.functional import average_precision
from tests.metrics.labelled_scores import labelled_scores

pytestmark = pytest.mark.backend_independent


def test_equals_the_golden_values(golden):
    arrays = golden("metrics")
    masks, maps = arrays["masks"] > 0, arrays["maps"]
    image = average_precision(masks.any((1, 2)), maps.max((1, 2)))
    assert image == pytest.approx(float(arrays["image_ap"]), abs=1e-12)
    pixel = average_precision(masks, maps)
    assert pixel == pytest.approx(float(arrays["pixel_ap"]), abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(labelled_scores)
def test_equals_scikit_learn(pairs):
    labels, scores = pairs
    assert average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


def test_constant_scores_give_the_share_of_anomalous_values():
    assert average_precision([0, 1, 0, 0], np.zeros(4)) == 0.25


def test_infinite_scores_are_ordered():
    assert average_precision([0, 1], [-math.inf, math.inf]) == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_a_single_class_is_nan_with_a_warning(label):
    with pytest.warns(UserWarning, match="Average precision is undefined without both"):
        assert math.isnan(average_precision([label] * 3, [1.0, 2.0, 3.0]))


def test_refuses_nan():
    with pytest.raises(ValueError, match="must hold no NaN. Received 1 among 2"):
        average_precision([0, 1], [1.0, math.nan])
