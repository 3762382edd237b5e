"""Thresholds of pixels, against the definition by normal images' largest values."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_rlr
from keras_rlr.detectors.calibration import pixel_thresholds
from keras_rlr.detectors.pixel_thresholds import PixelThresholds
from tests.tiny_model import random_images, tiny_backbone

pytestmark = pytest.mark.backend_independent

PEAKS = st.lists(st.floats(-100, 1e6, width=32), min_size=4, max_size=40)
RATE = 0.25


@given(PEAKS, st.sampled_from([0.2, 0.25, 0.5]))
def test_no_more_normal_images_have_regions_than_the_rate_says(peaks, rate):
    threshold = pixel_thresholds(np.array(peaks), [None] * len(peaks), rate).of_all
    rank = math.ceil(round((len(peaks) + 1) * (1 - rate), 9))
    assert sum(np.array(peaks) >= threshold) <= len(peaks) - rank
    set_by = sorted(peaks)[rank - 1]
    assert set_by < threshold <= set_by + 1.01e-4 * abs(set_by) + 1e-11


def test_categories_of_few_images_share_what_all_say():
    peaks = np.array([1.0, 1.1, 1.2, 1.3, 10.0, 11.0, 12.0])
    names = ["small"] * 4 + ["large"] * 3
    found = pixel_thresholds(peaks, names, RATE, names=("large", "small"))
    assert found.of("small") == pytest.approx(1.3 * 1.0001)
    assert 1.3 < found.of_all == found.of("unknown")
    assert found.of("large") == pytest.approx(12.0 * 1.0001)
    # A rate that three images are too few for.
    found = pixel_thresholds(peaks, names, 0.2, names=("large", "small"))
    assert found.of("small") == pytest.approx(1.3 * 1.0001)
    assert 12.0 < found.of("large") < 15.0
    # Categories that have no threshold of scores have none of pixels either.
    assert pixel_thresholds(peaks, names, 0.2, names=("small",)).of("large") == (
        found.of_all
    )


@given(
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.dictionaries(st.text(min_size=1), st.floats(-9, 9), max_size=3),
)
def test_text_and_back(of_all, by_category):
    thresholds = PixelThresholds(of_all, tuple(by_category.items()))
    assert PixelThresholds.from_json(thresholds.to_json().encode()) == thresholds


# Of the first the score is the map's peak, of the others it is not.
@pytest.fixture(scope="module", params=["PaDiM", "PatchCore", "RLR"])
def model(request):
    settings = {"backbone": tiny_backbone(), "levels": (1, 2), "image_size": 32}
    if request.param == "RLR":
        settings |= {"hidden_dims": (8, 8), "windows": (3, 3), "num_heads": 2}
    model = getattr(keras_rlr, request.param)(**settings, seed=0)
    epochs = 1 if request.param == "RLR" else None
    model.fit(random_images(8, seed=1), epochs=epochs, verbose=0)
    return model


def test_calibrate_takes_it_from_the_maps_and_saving_keeps_it(model, tmp_path):
    images = random_images(40, seed=2)
    names = ["nut"] * 36 + ["bolt"] * 4
    elements = [
        {"image": image, "category": name}
        for image, name in zip(images, names, strict=True)
    ]
    assert model.pixel_threshold is None
    model.calibrate(elements, false_positive_rate=RATE)
    maps = model.predict(images, verbose=0)["anomaly_map"]
    peaks = np.sort(maps.max(axis=(1, 2)))
    # The 31st of 40, and the 28th of 36.
    assert model.pixel_threshold == pytest.approx(peaks[30] * 1.0001, rel=1e-5)
    of_nuts = np.sort(maps[:36].max(axis=(1, 2)))[27] * 1.0001
    assert model.thresholds.pixels.of("nut") == pytest.approx(of_nuts, rel=1e-5)
    found = [keras_rlr.regions(values, model.pixel_threshold) for values in maps]
    assert sum(bool(regions) for regions in found) == 9
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.thresholds.pixels == model.thresholds.pixels
    assert loaded.pixel_threshold == model.pixel_threshold
    model.save_weights(tmp_path / "model.weights.h5")
    loaded.thresholds.forget()
    assert loaded.pixel_threshold is None
    loaded.load_weights(tmp_path / "model.weights.h5")
    assert loaded.thresholds.pixels == model.thresholds.pixels
    assert model.compact().pixel_threshold == model.pixel_threshold


def test_what_is_no_number_gives_no_threshold_and_changes_none(model, monkeypatch):
    model.calibrate(random_images(8, seed=2), false_positive_rate=RATE)
    before = model.threshold, model.pixel_threshold
    infer = model._infer

    def broken(*args, **kwargs):
        outputs = infer(*args, **kwargs)
        outputs["anomaly_map"] = np.array(outputs["anomaly_map"])
        outputs["anomaly_map"][3, 1, 1] = np.nan
        return outputs

    monkeypatch.setattr(model, "_infer", broken)
    with pytest.raises(FloatingPointError, match="1 of 8 largest values of anomaly"):
        model.calibrate(random_images(8, seed=3), false_positive_rate=RATE)
    assert (model.threshold, model.pixel_threshold) == before
