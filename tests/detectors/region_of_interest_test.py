"""Where to look: maps, scores and decisions are of the region alone."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
