"""RLR with a memory bank beside its reconstructor."""

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import keras_rlr
from tests.layers.anomaly_map_test import naive_error, upsample
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, random_images, tiny_model

NORMAL = random_images(6)
TESTED = random_images(3, seed=2)


def with_bank(**overrides):
    """RLR of which the bank's grid is the coarse one, of 4x4 tokens."""
    settings = {"standardize_features": True, "coreset_ratio": 0.25, **overrides}
    return tiny_model(**settings)


@pytest.fixture(scope="module")
def trained():
    """As it was drawn, so that no step is compiled, with the bank of its images."""
    model = with_bank()
    model.adapt(NORMAL)
    return model


def patches(features):
    """Tokens of 4x4 places: of the fine level the mean of four, then the coarse."""
    fine, coarse = features
    fine = fine.reshape(len(fine), 4, 2, 4, 2, -1).mean(axis=(2, 4))
    return np.concatenate([fine, coarse], axis=-1)


def distances(features, bank):
    tokens = patches(features)[..., None, :]
    return np.sqrt(((tokens - bank) ** 2).sum(-1)).min(-1)


def cosine_distances(features, bank):
    tokens = patches(features)
    tokens = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)
    return (1 - tokens @ bank.T).min(-1)


def test_the_map_is_of_error_and_distance(trained):
    check_map(trained, distances)


@pytest.mark.backend_independent
def test_its_distance_may_be_the_cosine(tmp_path):
    model = with_bank(distance="cosine", standardize_features=False)
    model.adapt(NORMAL)
    check_map(model, cosine_distances)
    bank = keras.ops.convert_to_numpy(model.memory_bank.patches)
    np.testing.assert_allclose(np.linalg.norm(bank, axis=-1), 1.0, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config()["distance"] == "cosine"
    for other in (loaded, model.compact()):
        check_map(other, cosine_distances, rebuilt_by=model)
    with pytest.raises(ValueError, match="'euclidean' or 'cosine'. Received: 'manh"):
        with_bank(distance="manhattan")


def check_map(trained, distances, rebuilt_by=None):
    features = trained.extract_features(TESTED)
    rebuilt = (rebuilt_by or trained).reconstruct(features)
    bank = np.asarray(keras.ops.convert_to_numpy(trained.memory_bank.patches))
    outputs = trained.predict(TESTED, verbose=0)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    errors = [naive_error(f, r) for f, r in zip(features, rebuilt, strict=True)]
    for i, distance in enumerate(distances(features, bank)):
        error = sum(upsample(level[i], size) for level in errors) / 2
        both = error**0.25 * upsample(distance, size) ** 0.75
        expected = gaussian_filter(both, 4.0)
        np.testing.assert_allclose(outputs["anomaly_map"][i], expected, rtol=1e-3)
        np.testing.assert_allclose(
            outputs["anomaly_score"][i], expected.max(), rtol=1e-3
        )


@pytest.mark.backend_independent
def test_the_bank_is_a_share_of_the_patches_and_covers_them(trained):
    assert trained.bank_size == 6 * 16 / 4
    assert "24 patches of 20 channels" in trained.described_size
    bank = keras.ops.convert_to_numpy(trained.memory_bank.patches)
    far = distances(trained.extract_features(NORMAL), bank)
    assert (far < 1e-3).sum() == 24
    assert far.max() < distances(trained.extract_features(NORMAL), bank[:6]).max()


@pytest.mark.backend_independent
def test_a_bank_does_not_change_what_is_learned():
    losses = [
        with_bank(coreset_ratio=ratio, **ONE_LEVEL)
        .fit(NORMAL, epochs=2, verbose=0)
        .history["loss"]
        for ratio in (0.0, 0.25)
    ]
    np.testing.assert_array_equal(*losses)


@pytest.mark.backend_independent
def test_a_cache_gives_the_same_bank(trained):
    cached = with_bank()
    cached.fit(NORMAL, epochs=1, verbose=0, feature_cache="memory")
    banks = [
        keras.ops.convert_to_numpy(model.memory_bank.patches)
        for model in (trained, cached)
    ]
    # A cache holds 16 bits a value.
    np.testing.assert_allclose(*banks, atol=5e-3)


@pytest.mark.backend_independent
def test_a_training_that_goes_on_keeps_the_bank_and_a_new_one_makes_its_own(tmp_path):
    model = with_bank()
    model.fit(NORMAL, epochs=1, verbose=0)
    before = model.get_weights()[-1].copy(), model.bank_size
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    bank = keras.ops.convert_to_numpy(model.memory_bank.patches)
    model.fit(NORMAL[:4], epochs=2, initial_epoch=1, verbose=0)
    assert model.bank_size == before[1]
    np.testing.assert_array_equal(
        bank, keras.ops.convert_to_numpy(model.memory_bank.patches)
    )
    model.predict(TESTED, verbose=0)
    model.fit(NORMAL[:4], epochs=1, verbose=0)
    assert model.bank_size == 4 * 16 / 4
    assert np.isfinite(model.predict(TESTED, verbose=0)["anomaly_score"]).all()


@pytest.mark.backend_independent
def test_before_it_has_a_bank_it_refuses_and_adapting_is_enough():
    model = with_bank(standardize_features=False)
    with pytest.raises(ValueError, match="keeps a memory bank and has not seen"):
        model.predict(TESTED, verbose=0)
    model.adapt(NORMAL)
    assert model.bank_size == 24
    assert np.isfinite(model.predict(TESTED, verbose=0)["anomaly_score"]).all()


@pytest.mark.backend_independent
def test_a_step_alone_needs_a_bank_and_keeps_it():
    model = with_bank(standardize_features=False)
    with pytest.raises(ValueError, match="keeps a memory bank and has not seen"):
        model.train_on_batch(NORMAL[:4])
    model.adapt(NORMAL)
    assert np.isfinite(model.train_on_batch(NORMAL[:4]))
    assert model.bank_size == 24


@pytest.mark.backend_independent
def test_weights_bring_the_size_of_their_bank(trained, tmp_path):
    trained.save_weights(tmp_path / "bank.weights.h5")
    other = with_bank(seed=5)
    # Of another size, and compiled for it.
    other.adapt(NORMAL[:2])
    other.predict(TESTED, verbose=0)
    other.load_weights(tmp_path / "bank.weights.h5")
    assert other.bank_size == trained.bank_size
    scores = [
        model.predict(TESTED, verbose=0)["anomaly_score"] for model in (trained, other)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6)


@pytest.mark.backend_independent
def test_a_compact_copy_has_the_bank_too(trained):
    copy = trained.compact()
    assert copy.bank_size == trained.bank_size
    for key, values in trained.predict(TESTED, verbose=0).items():
        np.testing.assert_allclose(
            copy.predict(TESTED, verbose=0)[key], values, rtol=1e-4
        )


@pytest.mark.backend_independent
def test_a_share_that_is_not_possible_is_refused():
    for wrong in (-0.1, 1.5):
        with pytest.raises(ValueError, match="`coreset_ratio` must be"):
            keras_rlr.RLR(backbone="efficientnet_lite2", coreset_ratio=wrong)
        with pytest.raises(ValueError, match="`error_share` is how much"):
            keras_rlr.RLR(backbone="efficientnet_lite2", error_share=wrong)
