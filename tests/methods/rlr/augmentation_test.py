"""RLR that is trained on images turned and mirrored."""

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr.detectors.feature_extractor import FeatureExtractor
from tests.tiny_model import (
    ONE_LEVEL,
    fit_losses,
    random_images,
    restore,
    snapshot,
    tiny_model,
)

# It is the host that turns them; that all backends learn the same, and go on as one
# training, is tested in rlr_saving_test.
pytestmark = pytest.mark.backend_independent

NORMAL = random_images(6)


@pytest.fixture(scope="module")
def new_model():
    model = tiny_model(augmentation=("flip", "rotate"), **ONE_LEVEL)
    state = snapshot(model)

    def renew():
        restore(state)
        return model

    return renew


@pytest.fixture(scope="module")
def losses(new_model):
    return fit_losses(new_model(), NORMAL, epochs=2, batch_size=3)


def test_a_training_that_goes_on_has_the_losses_of_one(new_model, losses):
    model = new_model()
    first = fit_losses(model, NORMAL, epochs=1, batch_size=3)
    rest = fit_losses(model, NORMAL, epochs=2, initial_epoch=1, batch_size=3)
    np.testing.assert_allclose([*first, *rest], losses, rtol=1e-6)


def test_it_changes_what_is_learned(losses):
    plain = fit_losses(tiny_model(**ONE_LEVEL), NORMAL, epochs=2, batch_size=3)
    assert abs(plain[1] - losses[1]) > 1e-4


def test_a_cache_has_the_features_of_every_variant(
    new_model, losses, tmp_path, monkeypatch
):
    options = {"epochs": 2, "batch_size": 3}
    # Of a training without augmentation there are the images as they are.
    plain = keras_rlr.FeatureCache(tmp_path, dtype="float32")
    fit_losses(tiny_model(**ONE_LEVEL), NORMAL, feature_cache=plain, **options)
    for _ in range(2):
        cache = keras_rlr.FeatureCache(tmp_path, dtype="float32")
        found = fit_losses(new_model(), NORMAL, feature_cache=cache, **options)
        np.testing.assert_allclose(found, losses, rtol=2e-6)
        # From then on without the backbone.
        monkeypatch.setattr(FeatureExtractor, "__call__", None)


def test_the_bank_has_the_patches_of_every_variant():
    options = {"levels": (2,), "hidden_dims": (16,), "windows": (3,)}
    for cache in (None, keras_rlr.FeatureCache("memory", dtype="float32")):
        model = tiny_model(augmentation="rotate", coreset_ratio=1.0, **options)
        model.fit(NORMAL, epochs=1, verbose=0, feature_cache=cache)
        turned = [np.rot90(NORMAL, k, axes=(1, 2)) for k in range(4)]
        (wanted,) = model.extract_features(np.concatenate(turned))
        bank = keras.ops.convert_to_numpy(model.memory_bank.patches)
        wanted = wanted.reshape(bank.shape)
        # Each of them is there, and no other.
        apart = np.abs(bank[:, None] - wanted[None]).max(axis=-1)
        assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) < 1e-4
