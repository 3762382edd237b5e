"""RLR whose maps are in units of what is usual in similar training images."""

import warnings

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr.detectors.tile_by_tile import predict_tile_by_tile
from keras_rlr.inputs.host_batches import resized_images
from keras_rlr.inputs.value_ranges import ValueRanges
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

NORMAL = random_images(7)
TESTED = random_images(3, seed=2)


def with_similar_images(**overrides):
    settings = {"standardize_features": True, "similar_images": 3, **ONE_LEVEL}
    return tiny_model(**{**settings, **overrides})


def stored(model):
    layer = model.usual_map
    values = (layer.maps, layer.descriptions, layer.is_stored, layer.center)
    return [keras.ops.convert_to_numpy(value) for value in values]


def trained(epochs=1, **options):
    model = with_similar_images()
    model.fit(NORMAL, batch_size=3, epochs=epochs, verbose=0, **options)
    return model


@pytest.fixture(scope="module")
def model():
    return trained()


def test_maps_are_those_without_it_over_what_is_usual(model):
    plain = with_similar_images(similar_images=0)
    plain.fit(NORMAL, batch_size=3, epochs=1, verbose=0)
    maps = plain.predict(TESTED, verbose=0)["anomaly_map"]
    (features,) = model.extract_features(TESTED)
    expected, _ = model.usual_map(maps, features.mean((1, 2)))
    outputs = model.predict(TESTED, verbose=0)
    expected = keras.ops.convert_to_numpy(expected)
    np.testing.assert_allclose(outputs["anomaly_map"], expected, rtol=1e-3)
    scores = keras.ops.convert_to_numpy(model.anomaly_score(expected))
    np.testing.assert_allclose(outputs["anomaly_score"], scores, rtol=1e-3)


def test_the_score_may_be_of_another_map(model):
    other = with_similar_images(similar_share=(0.5, 1.0))
    assert other.get_config()["similar_share"] == (0.5, 1.0)
    other.fit(NORMAL, batch_size=3, epochs=1, verbose=0)
    outputs = other.predict(TESTED, verbose=0)
    expected = model.predict(TESTED, verbose=0)["anomaly_map"]
    np.testing.assert_allclose(outputs["anomaly_map"], expected, rtol=1e-4)
    (features,) = other.extract_features(TESTED)
    wholes = other.usual_map(expected, features.mean((1, 2)))[0]
    scores = keras.ops.convert_to_numpy(other.anomaly_score(wholes))
    np.testing.assert_allclose(outputs["anomaly_score"], scores, rtol=1e-3)


@pytest.mark.parametrize(
    "tiles",
    [
        None,
        pytest.param((1, 2), marks=pytest.mark.backend_independent),
        pytest.param((5, 4), marks=pytest.mark.backend_independent),
    ],
)
def test_a_region_is_where_scores_are_looked_for(tiles):
    images = random_images(5, 70, 60)
    model = with_similar_images(similar_share=(0.0, 1.0), tiles=tiles)
    model.fit(images, batch_size=2, epochs=1, verbose=0)
    assert "score_map" not in model.predict(images, verbose=0)
    before = model.predict(images, verbose=0)["anomaly_score"]
    model.region_of_interest = np.ones(model.map_size)
    whole = model.predict(images, verbose=0)
    assert "score_map" not in whole
    np.testing.assert_allclose(whole["anomaly_score"], before, rtol=1e-5)
    # Where the score's peak is not, whether or not the map's is there.
    assert model.has_score_map
    peaks = score_maps(model, images)
    for side in (slice(None, model.map_size[0] // 2), slice(5, None)):
        inside = np.zeros(model.map_size)
        inside[side] = 1
        model.region_of_interest = inside
        found = model.predict(images, verbose=0)["anomaly_score"]
        share = peaks[:, side].max((1, 2)) / peaks.max((1, 2))
        np.testing.assert_allclose(found, before * share, rtol=1e-3)
    if tiles:
        elements = [{"image": image} for image in images]
        resized = resized_images(
            elements, model.map_size, range(len(images)), ValueRanges(None)
        )
        found = predict_tile_by_tile(model, resized, {})
        assert "score_map" not in found
        np.testing.assert_allclose(found["anomaly_score"], before * share, rtol=1e-3)


def score_maps(model, images):
    """The maps that the scores are of, from what the parts of the model say."""
    from keras_rlr.detectors.on_tiles import outputs_on_tiles

    run = outputs_on_tiles if model.tiling else type(model).outputs_of

    def score_map(image):
        return run(model, image)["score_map"]

    if keras.backend.backend() == "jax":
        import jax

        # Else it compiles each operation alone.
        score_map = jax.jit(score_map)
    rows = [keras.ops.convert_to_tensor(image[None]) for image in images]
    maps = [keras.ops.convert_to_numpy(score_map(row))[0] for row in rows]
    return np.stack(maps)


@pytest.mark.backend_independent
def test_every_training_image_is_kept_once(model):
    _, descriptions, is_stored, center = stored(model)
    assert is_stored.sum() == len(NORMAL)
    (features,) = model.extract_features(NORMAL)
    expected = features.mean((1, 2))
    spread = expected.std(0)
    found = descriptions[: len(NORMAL)] * spread + center
    order = [np.abs(expected - row).sum(-1).argmin() for row in found]
    assert sorted(order) == list(range(len(NORMAL)))
    np.testing.assert_allclose(found, expected[order], rtol=1e-3, atol=1e-4)


@pytest.mark.backend_independent
def test_a_cache_gives_the_same(model):
    cache = keras_rlr.FeatureCache("memory", dtype="float32")
    for one, other in zip(
        stored(model), stored(trained(feature_cache=cache)), strict=1
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.backend_independent
def test_a_training_that_goes_on_keeps_the_same_images():
    whole = trained(epochs=2)
    parts = trained()
    parts.fit(NORMAL, batch_size=3, epochs=2, initial_epoch=1, verbose=0)
    for one, other in zip(stored(whole), stored(parts), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.backend_independent
def test_weights_saved_within_fit_say_that_the_images_are_missing(tmp_path):
    path = tmp_path / "within.keras"
    saves = keras.callbacks.ModelCheckpoint(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "This RLR compares")
        whole = trained(callbacks=[saves], validation_data=(TESTED, [0, 1, 0]))
        expected = whole.predict(TESTED, verbose=0)["anomaly_score"]
    within = keras.models.load_model(path)
    for looks, given in (
        (within.predict, {}),
        (within.calibrate, {"false_positive_rate": 0.5}),
        (within.evaluate, {"y": [0, 1, 0]}),
    ):
        with pytest.warns(UserWarning, match="and has none: `fit` has not ended"):
            looks(TESTED, **given)
    # What the warning says to do.
    within.fit(NORMAL, batch_size=3, initial_epoch=1, epochs=1, verbose=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "This RLR compares")
        found = within.predict(TESTED, verbose=0)["anomaly_score"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.backend_independent
def test_what_training_changes_is_forgotten():
    model = trained()
    model.train_on_batch(NORMAL[:3])
    assert stored(model)[2].sum() == 0


@pytest.mark.backend_independent
def test_a_compact_copy_has_it_too(model):
    expected = model.predict(TESTED, verbose=0)["anomaly_score"]
    found = model.compact().predict(TESTED, verbose=0)["anomaly_score"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.backend_independent
@pytest.mark.parametrize("count", [-1, 1.5, 513, True])
def test_numbers_that_are_none_are_refused(count):
    with pytest.raises(ValueError, match="from 0 \\(none\\) to 512|a whole number"):
        with_similar_images(similar_images=count)


@pytest.mark.backend_independent
@pytest.mark.parametrize("share", [-0.1, 1.5, (0.1, 0.2, 0.3), "half", float("nan")])
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(ValueError, match="number from 0 to 1, or two"):
        with_similar_images(similar_share=share)
