"""A reference that begins with tokens of the training images."""

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr.methods.rlr.reference_start import start_reference
from tests.methods.rlr.fuse_levels_test import FUSED, blocks
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

NORMAL = random_images(6)
OTHERS = random_images(4, seed=3)


def references(model):
    """float32 arrays (height, width, K, C)."""
    found = []
    for part, shape in zip(model.reconstructors, model.grid_shapes, strict=True):
        rows = keras.ops.convert_to_numpy(part.reference_weights.reference)
        found.append(rows.reshape(*shape[:2], -1, shape[2]).copy())
    return found


def still(**options):
    """A model of one level that stays as it is when it is trained."""
    options = {"reference_tokens": 2, "reference_start": "samples", **options}
    model = tiny_model(**{**ONE_LEVEL, **options})
    model.compile(keras.optimizers.SGD(0.0))
    return model


def test_means_are_those_of_each_place_in_what_is_reconstructed():
    model = tiny_model(**FUSED, standardize_features=True, reference_start="means")
    model.adapt(NORMAL)
    tokens = np.concatenate(blocks(model.extract_features(NORMAL)), axis=-1)
    (found,) = references(model)
    np.testing.assert_allclose(found[:, :, 0], tokens.mean(axis=0), atol=1e-5)


def test_samples_are_of_other_images_each_and_others_at_other_places():
    settings = {"reference_start": "samples", "reference_tokens": 3}
    model = tiny_model(**settings)
    model.adapt(NORMAL)
    for found, tokens in zip(
        references(model), model.extract_features(NORMAL), strict=True
    ):
        far = np.abs(found[:, :, :, None] - np.moveaxis(tokens, 0, 2)[:, :, None])
        far = far.max(axis=-1)  # (height, width, K, images)
        assert far.min(axis=-1).max() < 1e-5
        images = far.argmin(axis=-1)
        assert all(len(set(place)) == 3 for place in images.reshape(-1, 3).tolist())
        # Drawn fairly, and anew for each place.
        shares = np.bincount(images.ravel(), minlength=6) / images.size
        assert np.abs(shares - 1 / 6).max() < 0.1
    first = references(model)[0]
    for seed, same in ((0, True), (1, False)):
        other = tiny_model(seed=seed, **settings)
        other.adapt(NORMAL)
        assert np.array_equal(references(other)[0], first) == same


@pytest.mark.backend_independent
def test_the_first_training_starts_it_and_nothing_does_again(tmp_path):
    model = still()
    before = references(model)[0]
    model.fit(NORMAL, epochs=1, verbose=0)
    (started,) = references(model)
    assert np.abs(started - before).max() > 0.1
    cached = still()
    cache = keras_rlr.FeatureCache("memory", dtype="float32")
    cached.fit(NORMAL, epochs=1, verbose=0, feature_cache=cache)
    np.testing.assert_allclose(references(cached)[0], started, atol=1e-5)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    other = still()
    other.load_weights(tmp_path / "model.weights.h5")
    for trained in (model, keras.saving.load_model(tmp_path / "model.keras"), other):
        trained.fit(OTHERS, epochs=1, verbose=0)
        trained.adapt(OTHERS)
        np.testing.assert_array_equal(references(trained)[0], started)


@pytest.mark.backend_independent
def test_a_step_alone_starts_it_from_its_batch():
    model = still(reference_tokens=4)
    model.train_on_batch(OTHERS)
    (found,) = references(model)
    (tokens,) = model.extract_features(OTHERS)
    np.testing.assert_allclose(found.sum(axis=2), tokens.sum(axis=0), atol=1e-4)


@pytest.mark.backend_independent
def test_it_is_taken_from_512_images_at_most():
    model = still(reference_start="means", reference_tokens=1)
    height, width, channels = model.feature_shapes[0]
    parts = [
        [np.full((count, height, width, channels), value, "float32")]
        for count, value in ((300, 1.0), (300, 2.0), (300, 9.0))
    ]
    start_reference(model, parts)
    np.testing.assert_allclose(references(model)[0], (300 + 212 * 2) / 512, rtol=1e-6)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference_start": "random"}, "None, 'samples' or 'means'. Received: 'ran"),
        ({"reference_start": "means", "reference_tokens": 2}, "has one mean"),
        ({"reference_tokens": 0}, "whole number of tokens"),
        ({"attentions": "self", "reference_tokens": 2}, "have no use"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(**ONE_LEVEL, **options)


@pytest.mark.backend_independent
def test_fewer_images_than_tokens_are_refused():
    model = still(reference_tokens=5)
    with pytest.raises(ValueError, match="can't start from 4. Give more images"):
        model.fit(OTHERS, epochs=1, verbose=0)
    assert model.reconstructors[0].reference_weights.is_to_start
