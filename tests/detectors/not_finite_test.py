"""A model whose numbers are no numbers says so, and calls nothing normal."""

import numpy as np
import pytest

from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

IMAGES = random_images(6)


@pytest.fixture(scope="module")
def model():
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(IMAGES, false_positive_rate=0.3)
    return model


@pytest.fixture(scope="module")
def broken(model):
    """The model with one weight that is NaN."""
    weight = model.reconstructors[0].trainable_weights[0]
    weight.assign(np.full(weight.shape, np.nan))
    return model


def test_training_stops_at_the_first_loss_that_is_nan():
    model = tiny_model(**ONE_LEVEL)
    model.optimizer.learning_rate = 1e30
    with pytest.raises(
        FloatingPointError,
        match=r"diverged: the loss is (nan|inf) after step \d of epoch 1.*lower learn",
    ):
        model.fit(IMAGES, epochs=9, batch_size=1, verbose=0)
    # What a failed training leaves can still be used under JAX.
    with pytest.warns(UserWarning, match="anomaly scores are NaN"):
        model.thresholds.threshold_weight.assign(1.0)
        model.predict(IMAGES[:2], verbose=0)


def test_predict_calls_what_it_can_not_score_anomalous_and_warns(broken):
    with pytest.warns(UserWarning, match="6 of 6 anomaly scores are NaN or infi"):
        outputs = broken.predict(IMAGES, verbose=0)
    assert np.isnan(outputs["anomaly_score"]).all()
    assert outputs["is_anomalous"].all()


@pytest.mark.backend_independent
def test_it_can_neither_be_calibrated_nor_evaluated_nor_exported(broken, tmp_path):
    before = broken.threshold
    message = "anomaly scores are not finite numbers .* the model can't be {}"
    with pytest.raises(FloatingPointError, match=message.format("calibrated")):
        broken.calibrate(IMAGES, false_positive_rate=0.3)
    assert broken.threshold == before
    elements = {"image": IMAGES, "label": [0, 1] * 3}
    with pytest.raises(FloatingPointError, match=message.format("evaluated")):
        broken.evaluate(elements, verbose=0)
    with pytest.raises(FloatingPointError, match=message.format("exported")):
        broken.export(tmp_path / "1")
    assert not (tmp_path / "1").exists()
