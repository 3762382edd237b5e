"""The compiled function that gives an image's features, wherever they are needed."""

import numpy as np
import pytest

from keras_rlr.detectors import feature_extractor
from keras_rlr.detectors.feature_extractor import extract_by_image
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

IMAGES = random_images(3).astype("float32")


def test_it_is_made_once_a_model_and_follows_the_weights():
    model, other = (tiny_model(**ONE_LEVEL) for _ in range(2))
    weights = model.get_weights()
    extract = extract_by_image(model)
    (before,) = extract(IMAGES)
    np.testing.assert_allclose(before, model.extract_features(IMAGES)[0], atol=1e-5)
    model.set_weights([2 * weight for weight in weights])
    assert extract_by_image(model) is extract
    assert extract_by_image(other) is not extract
    (after,) = extract(IMAGES)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, model.extract_features(IMAGES)[0], rtol=1e-4)
    np.testing.assert_allclose(extract_by_image(other)(IMAGES)[0], before, atol=1e-6)


def test_statistics_a_bank_and_a_second_training_share_it(monkeypatch):
    made = []
    make = feature_extractor._compiled_by_image

    def counted(model):
        made.append(model)
        return make(model)

    monkeypatch.setattr(feature_extractor, "_compiled_by_image", counted)
    model = tiny_model(**ONE_LEVEL, standardize_features=True, coreset_ratio=0.2)
    for _ in range(2):
        model.fit(IMAGES, batch_size=3, epochs=1, verbose=0)
    assert made == [model]


def test_a_saved_model_has_nothing_of_it(tmp_path):
    model = tiny_model(**ONE_LEVEL)
    count = len(model.variables)
    extract_by_image(model)(IMAGES)
    model.save_weights(tmp_path / "after.weights.h5")
    fresh = tiny_model(**ONE_LEVEL)
    fresh.load_weights(tmp_path / "after.weights.h5")
    assert len(model.variables) == count
    np.testing.assert_array_equal(
        extract_by_image(fresh)(IMAGES)[0], extract_by_image(model)(IMAGES)[0]
    )


@pytest.mark.backend_independent
def test_training_a_model_again_leaves_the_backbone_frozen():
    """As Keras' users freeze and unfreeze a model; the setting goes to all layers."""
    model = tiny_model(**ONE_LEVEL)
    trained = [weight.path for weight in model.trainable_weights]
    model.trainable = False
    assert model.trainable_weights == []
    model.trainable = True
    assert [weight.path for weight in model.trainable_weights] == trained
    before = [np.array(weight) for weight in model.feature_extractor.get_weights()]
    model.compile()
    model.fit(IMAGES, batch_size=3, epochs=1, verbose=0)
    after = model.feature_extractor.get_weights()
    assert before and all(map(np.array_equal, before, after))
