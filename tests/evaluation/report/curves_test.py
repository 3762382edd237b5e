import numpy as np
import pytest

from keras_rlr.evaluation.report.curves import histograms_figure
from keras_rlr.evaluation.test_predictions import TestPredictions

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("count_apart", [0, 1, 3, 100])
def test_scores_that_are_nearly_or_all_alike_are_drawn(count_apart):
    """As many float32 numbers apart: between them there may be no room for 24 bars."""
    last = np.float32(0.4984)
    for _ in range(count_apart):
        last = np.nextafter(last, np.float32(1))
    predictions = TestPredictions(
        labels=np.array([False, True]),
        scores=np.array([0.4984, last], "float32"),
        categories=np.array(["gear", "gear"], object),
        maps=None,
        masks=None,
    )
    assert "</svg>" in histograms_figure(predictions, {"gear": 0.4985})
