"""Where to look: maps, scores and decisions are of the region alone."""

import warnings

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.detectors.pixel_thresholds import PixelThresholds
from keras_rlr.detectors.region_of_interest import RegionOfInterest, outputs_within
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

IMAGES = random_images(5, 40, 40)


@pytest.fixture(scope="module")
def model():
    detector = tiny_model(**ONE_LEVEL)
    detector.fit(IMAGES, epochs=1, verbose=0)
    detector.calibrate(IMAGES, 0.2)
    return detector


@pytest.mark.backend_independent
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, -5.0]))
def test_scores_fall_as_peaks_do(seed, offset):
    draw = np.random.default_rng(seed)
    maps = (draw.random((3, 6, 8)) + offset).astype("float32")
    scores = (maps.max((1, 2)) * 1.5).astype("float32")
    inside = draw.random((6, 8)) < 0.5
    inside[2, 3] = True
    region = RegionOfInterest.of(inside, (6, 8))
    outputs = {"anomaly_map": maps, "anomaly_score": scores}
    found = outputs_within(outputs, region.inside)
    for i, whole in enumerate(maps):
        expected = np.where(inside, whole, whole.min())
        np.testing.assert_array_equal(found["anomaly_map"][i], expected)
        peak = whole[inside].max()
        if peak == whole.max():
            wanted = scores[i]
        elif offset == 0:
            wanted = scores[i] * peak / whole.max()
        else:
            wanted = scores[i] + peak - whole.max()
        np.testing.assert_allclose(found["anomaly_score"][i], wanted, rtol=1e-5)


def test_all_of_the_image_changes_nothing_and_a_part_stays_in_files(model, tmp_path):
    before = model.predict(IMAGES, verbose=0)
    model.region_of_interest = np.ones((7, 9))
    whole = model.predict(IMAGES, verbose=0)
    for name, values in before.items():
        np.testing.assert_array_equal(whole[name], values)
    model.region_of_interest = (0.25, 0.5, 0.5, 0.5)
    inside = model.region_of_interest
    assert inside.sum() == 16 * 16
    assert inside[16:, 8:24].all()
    part = model.predict(IMAGES, verbose=0)
    outside = part["anomaly_map"][:, ~inside]
    lowest = before["anomaly_map"].min((1, 2))
    np.testing.assert_array_equal(outside, np.repeat(lowest[:, None], 768, 1))
    assert (part["anomaly_score"] <= before["anomaly_score"]).all()
    assert (part["anomaly_score"] < before["anomaly_score"]).any()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.region_of_interest, inside)
    again = loaded.predict(IMAGES, verbose=0)
    for name, values in part.items():
        np.testing.assert_allclose(again[name], values, rtol=1e-5, atol=1e-6)
    model.region_of_interest = None
    after = model.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(after["anomaly_map"], before["anomaly_map"])


def test_nothing_outside_is_anomalous_where_all_of_the_image_is(model):
    model.region_of_interest = (0.25, 0.5, 0.5, 0.5)
    inside = model.region_of_interest
    before = model.predict(IMAGES, verbose=0)
    kept, lowest = model.thresholds.pixels, before["anomaly_map"].min()
    try:
        # The graph has the first, and is to have the second.
        for threshold in (0.9 * lowest, 0.4 * lowest):
            of_some = PixelThresholds(2.0 * lowest, (("a", float(threshold)),))
            model.thresholds.pixels = of_some
            found = model.predict(IMAGES, verbose=0)
            for anomaly_map in found["anomaly_map"]:
                np.testing.assert_array_equal(anomaly_map >= threshold, inside)
            scores = found["anomaly_score"]
            np.testing.assert_array_equal(scores, before["anomaly_score"])
    finally:
        model.thresholds.pixels = kept
        model.region_of_interest = None


@pytest.mark.backend_independent
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_text_holds_it(height, width, seed):
    inside = np.random.default_rng(seed).random((height, width)) < 0.3
    inside[0, 0] = True
    text = RegionOfInterest.of(inside, (height, width)).as_text()
    again = RegionOfInterest.of(text, (height, width))
    np.testing.assert_array_equal(again.inside, inside)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("given_region", "message"),
    [
        (np.zeros((4, 4)), "has no pixel"),
        ((0, 0, 1.5, 1), "in shares of the image's sides"),
        ((0.5, 0, 0.6, 1), "in shares"),
        ((0, 0, 0, 1), "in shares"),
        ('{"a": [0, 0, 1, null]}', "in shares"),
        ('{"a": 3}', "A mask must be"),
        ("{", "is damaged"),
        (np.zeros((2, 2, 2, 2)), "A mask must be"),
        ("nonsense", "is damaged"),
        ("9x9:AAAA", "is damaged"),
        ("99999x99999:eJwDAAAAAAE=", "is damaged"),
    ],
)
def test_what_is_no_region_is_refused(given_region, message):
    with pytest.raises(ValueError, match=message):
        RegionOfInterest.of(given_region, (8, 8))


def speck(row=1, column=1):
    """A pixel of 32x32 that nearest neighbour does not take at 8x8: it takes 2, 6, …"""
    mask = np.zeros((32, 32), "uint8")
    mask[row, column] = 1
    return mask


WHERE_NOT = [
    (speck(), r"What to ignore is smaller than a pixel of the model's maps \(8x8\)"),
    ((0.51, 0.51, 0.01, 0.01), "What to ignore is smaller than a pixel"),
    (np.zeros((4, 4)), "The mask of what to ignore has no pixel above 0"),
    ({"a": speck(2, 2), "b": speck(), "c": speck()}, "What to ignore of b, c is"),
    ({"a": np.zeros((4, 4)), None: speck()}, "What to ignore is smaller"),
    ({"a": np.zeros((4, 4)), "b": np.zeros((4, 4))}, "has no pixel above 0"),
    (np.full((4, 4), np.nan), "16 of the 16 values of a mask are NaN"),
]


@pytest.mark.backend_independent
@pytest.mark.parametrize(("given_region", "message"), WHERE_NOT)
def test_what_ignores_nothing_is_refused(given_region, message):
    with pytest.raises(ValueError, match=message):
        RegionOfInterest.ignoring(given_region, (8, 8))


@pytest.mark.backend_independent
def test_what_is_lost_of_a_region_is_told():
    for given_region in (speck(), {"a": speck()}):
        with pytest.raises(ValueError, match="The region of interest.* is smaller th"):
            RegionOfInterest.of(given_region, (8, 8))
    with pytest.warns(UserWarning, match="What the region of interest of a leaves out"):
        region = RegionOfInterest.of({"a": 1 - speck()}, (8, 8))
    assert region.arrays["a"].all()
    text = RegionOfInterest.ignoring(speck(), (32, 32)).as_text()
    with pytest.warns(UserWarning, match="What the region of interest leaves out is"):
        RegionOfInterest.of(text, (8, 8))
    empty = np.zeros((4, 4))
    with pytest.warns(UserWarning, match="what to ignore of a have no pixel above 0"):
        region = RegionOfInterest.ignoring({"a": empty, None: speck(2, 2)}, (8, 8))
    assert region.arrays["a"].all() and region.inside.sum() == 63
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert RegionOfInterest.ignoring(speck(2, 2), (8, 8)).inside.sum() == 63
        assert RegionOfInterest.of(np.ones((9, 9)), (8, 8)).inside.all()
        assert RegionOfInterest.of((0, 0, 1, 1), (8, 8)).inside.all()


@pytest.mark.backend_independent
def test_a_model_keeps_its_region_where_nothing_would_be_ignored(model):
    model.region_of_interest = (0, 0, 0.5, 1)
    inside = model.region_of_interest.copy()
    with pytest.raises(ValueError, match="What to ignore is smaller than a pixel"):
        model.ignore(np.pad(np.ones((1, 1)), ((0, 319), (0, 319))))
    np.testing.assert_array_equal(model.region_of_interest, inside)
    model.region_of_interest = None


def test_weights_bring_thresholds_of_the_same_region_alone(model, tmp_path):
    box, file = (0, 0, 0.5, 0.5), tmp_path / "a.weights.h5"
    kept = model.threshold
    model.region_of_interest = box
    model.calibrate(IMAGES, 0.2)
    model.save_weights(file)
    threshold, model.region_of_interest = model.threshold, None
    other = tiny_model(**ONE_LEVEL)
    with pytest.warns(UserWarning, match="another part of the images"):
        other.load_weights(file)
    assert other.threshold is None
    other.region_of_interest = box
    other.load_weights(file)
    assert other.threshold == threshold
    model.calibrate(IMAGES, 0.2)
    assert model.threshold == kept
    model.save_weights(file)
    with pytest.warns(UserWarning, match="another part of the images"):
        other.load_weights(file)
    assert other.threshold is None


@pytest.mark.backend_independent
def test_a_fingerprint_knows_masks_and_not_their_order():
    first, second = np.eye(4), np.fliplr(np.eye(4))
    region = RegionOfInterest.of({"nut": first, "bolt": second}, (4, 4))
    turned = RegionOfInterest.of({"bolt": second, "nut": first}, (4, 4))
    other = RegionOfInterest.of({"bolt": first, "nut": second}, (4, 4))
    assert region.fingerprint() == turned.fingerprint() != other.fingerprint()


def test_a_fit_that_fails_after_the_bank_was_selected_has_no_threshold():
    """Its scores are those of the new bank, and the threshold is of the old one."""
    detector = tiny_model(**ONE_LEVEL, coreset_ratio=0.5)
    detector.adapt(IMAGES)
    detector.calibrate(IMAGES, 0.2)

    def stop(*_):
        raise KeyboardInterrupt

    begins = keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    with pytest.raises(KeyboardInterrupt):
        detector.fit(random_images(4, seed=9), epochs=1, verbose=0, callbacks=[begins])
    assert detector.threshold is None
