import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.neighbors import NearestNeighbors

import keras_rlr
from keras_rlr.layers import FusedLevels
from tests.layer_test_case import to_numpy
from tests.tiny_model import IMAGE_SIZE, bilinear, random_images, tiny_backbone

NORMAL = random_images(6)
TESTED = random_images(3, seed=2)


def patch_core(**overrides):
    settings = {
        "backbone": tiny_backbone(),
        "levels": (1, 2),
        "image_size": IMAGE_SIZE,
        "smoothing": 2.0,
        "seed": 0,
    }
    return keras_rlr.PatchCore(**{**settings, **overrides})


def fitted(images=NORMAL, **overrides):
    model = patch_core(**overrides)
    model.fit(images, verbose=0)
    return model


def patches(model, images):
    """Patches of images, (images, patches, channels)."""
    tokens = to_numpy(FusedLevels()(model.extract_features(images)))
    return tokens.reshape(len(images), -1, tokens.shape[-1])


@pytest.mark.parametrize("standardize", [False, True])
def test_is_the_nearest_neighbour_of_scikit_learn(standardize):
    model = fitted(coreset_ratio=1.0, standardize_features=standardize)
    normal = patches(model, NORMAL).reshape(-1, 20)
    assert model.bank_size == len(normal) == 6 * 64
    search = NearestNeighbors(n_neighbors=1).fit(normal)
    outputs = model.predict(TESTED, verbose=0)
    for i, image in enumerate(patches(model, TESTED)):
        distances = search.kneighbors(image)[0][:, 0]
        score = outputs["anomaly_score"][i]
        np.testing.assert_allclose(score, distances.max(), rtol=1e-4)
        expected = bilinear(distances.reshape(8, 8))
        expected = gaussian_filter(expected, 2.0)
        np.testing.assert_allclose(
            outputs["anomaly_map"][i], expected, rtol=1e-3, atol=1e-4
        )


def test_images_it_was_fitted_on_are_normal_to_it():
    model = fitted(coreset_ratio=1.0)
    assert model.predict(NORMAL, verbose=0)["anomaly_score"].max() < 1e-3
    assert model.predict(TESTED, verbose=0)["anomaly_score"].min() > 0.1


def test_the_bank_is_of_patches_that_were_seen():
    model = fitted(coreset_ratio=0.1)
    stored = to_numpy(model.memory_bank.patches)
    assert stored.shape == (39, 20)  # A tenth of 384, rounded up.
    seen = patches(model, NORMAL).reshape(-1, 20)
    assert NearestNeighbors(n_neighbors=1).fit(seen).kneighbors(stored)[0].max() < 1e-5


@pytest.mark.backend_independent
def test_more_patches_than_allowed_are_drawn_from_and_said():
    with pytest.warns(UserWarning, match="have 384 patches.*100 of them were drawn"):
        model = fitted(max_patches=100, coreset_ratio=0.5)
    assert model.bank_size == 50


@pytest.mark.backend_independent
def test_one_image_is_enough():
    model = fitted(NORMAL[:1])
    assert np.isfinite(model.predict(TESTED, verbose=0)["anomaly_score"]).all()


@pytest.mark.parametrize(
    ("augmentation", "count"),
    [((), 1), ("flip", 3), ("rotate", 4), (["rotate", "flip"], 8)],
)
@pytest.mark.backend_independent
def test_augmentation_makes_different_images(augmentation, count):
    model = patch_core(augmentation=augmentation)
    variants = list(model.variants(NORMAL[:1].astype("float32")))
    assert len({variant.tobytes() for variant in variants}) == len(variants) == count


@pytest.mark.backend_independent
def test_turned_images_are_normal_to_it_if_it_was_told():
    turned = np.rot90(NORMAL, axes=(1, 2))
    scores = [
        fitted(coreset_ratio=1.0, augmentation=augmentation).predict(turned, verbose=0)
        for augmentation in ((), ("rotate",))
    ]
    assert scores[0]["anomaly_score"].min() > 0.1
    assert scores[1]["anomaly_score"].max() < 1e-3


@pytest.mark.backend_independent
def test_a_cache_gives_the_same_bank(tmp_path):
    model = patch_core()
    cache = keras_rlr.FeatureCache(tmp_path, dtype="float32")
    model.fit(NORMAL, feature_cache=cache, verbose=0)
    np.testing.assert_allclose(
        to_numpy(model.memory_bank.patches),
        to_numpy(fitted().memory_bank.patches),
        atol=1e-5,
    )


@pytest.mark.backend_independent
def test_fitted_again_it_forgets_the_first_images():
    model = fitted()
    model.fit(TESTED, verbose=0)
    np.testing.assert_allclose(
        model.predict(NORMAL, verbose=0)["anomaly_score"],
        fitted(TESTED).predict(NORMAL, verbose=0)["anomaly_score"],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coreset_ratio": 0.0}, "coreset_ratio"),
        ({"coreset_ratio": 1.5}, "coreset_ratio"),
        ({"max_patches": 0}, "max_patches"),
        ({"augmentation": "mirror"}, "'flip', 'rotate'"),
        ({"distance": "l1"}, "euclidean"),
    ],
)
@pytest.mark.backend_independent
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        patch_core(**options)


@pytest.mark.backend_independent
def test_what_has_no_meaning_is_refused():
    model = patch_core(augmentation="flip")
    with pytest.raises(ValueError, match="no memory bank yet"):
        model.predict(TESTED, verbose=0)
    with pytest.raises(ValueError, match="Leave out either"):
        model.fit(NORMAL, feature_cache="memory", verbose=0)
    with pytest.raises(ValueError, match="looks at each image once"):
        model.fit(NORMAL, epochs=3, verbose=0)


def test_features_that_are_not_finite_are_refused():
    backbone = tiny_backbone()
    backbone.set_weights([weight * np.nan for weight in backbone.get_weights()])
    with pytest.raises(FloatingPointError, match="not finite"):
        fitted(backbone=backbone)


@pytest.mark.backend_independent
def test_history_and_callbacks_are_as_kerass():
    model, seen = patch_core(), []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["loss"]))

    history = model.fit(NORMAL, batch_size=4, callbacks=[Note()], verbose=0)
    assert history.history["loss"] == [seen[0][1]]
    assert seen[0][0] == 0
    assert int(model.optimizer.iterations) == 2


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="other backends export in a process on TensorFlow, tested in tests/export",
)
@pytest.mark.filterwarnings("ignore:The model has no threshold")
def test_a_bank_that_holds_the_images_it_is_compared_on_is_exported(tmp_path):
    """Its distances to them are 0 up to rounding, another in every program."""
    model = fitted(coreset_ratio=1.0)
    manifest = model.export(tmp_path / "model.tflite", format="litert", images=NORMAL)
    (result,) = manifest["comparison"].values()
    assert result["passed"]
    assert result["images"] == 8
