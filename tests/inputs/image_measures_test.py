"""What is measured of images: light moves brightness alone, and focus sharpness."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from keras_rlr.inputs import image_measures
from keras_rlr.inputs.host_batches import resized_image
from keras_rlr.inputs.image_measures import measure_image

pytestmark = pytest.mark.backend_independent

SIZE = (40, 56)


def measured(image, inside=None):
    return measure_image(resized_image({"image": image}, 0, SIZE), inside)


@pytest.fixture(scope="module")
def image():
    random = np.random.default_rng(0)
    smooth = gaussian_filter(random.normal(size=SIZE), 1)
    values = 128 + 40 * smooth / smooth.std()
    return np.clip(values, 0, 255)[..., None].repeat(3, -1).astype("float32")


def test_the_mean_and_the_differences(image):
    grey = image[..., 0].astype("float64")
    steps = np.r_[np.diff(grey, axis=0).ravel(), np.diff(grey, axis=1).ravel()]
    assert measured(image) == {
        "brightness": pytest.approx(grey.mean() / 255, abs=1e-6),
        "sharpness": pytest.approx(np.sqrt((steps**2).mean()) / grey.std(), abs=1e-6),
    }
    colours = np.zeros((*SIZE, 3), "uint8") + np.array([255, 0, 0], "uint8")
    assert measured(colours) == {"brightness": 0.333333, "sharpness": 0.0}


def test_a_lamp_and_a_lens(image):
    usual, darker = measured(image), measured(0.6 * image)
    assert darker["brightness"] == pytest.approx(0.6 * usual["brightness"], abs=1e-5)
    assert darker["sharpness"] == pytest.approx(usual["sharpness"], abs=1e-5)
    blurred = measured(gaussian_filter(image, (1, 1, 0)))
    assert blurred["sharpness"] < 0.8 * usual["sharpness"]
    assert blurred["brightness"] == pytest.approx(usual["brightness"], rel=0.02)


def test_within_a_region(image):
    inside = np.zeros(SIZE, bool)
    inside[5:20, 8:30] = True
    part = image[5:20, 8:30]
    whole = resized_image({"image": part}, 0, part.shape[:2])
    assert measured(image, inside) == measure_image(whole)
    other = np.where(inside[..., None], image, 255 - image)
    assert measured(other, inside) == measured(image, inside)


def test_large_images_are_measured_by_bands(image, monkeypatch):
    large = np.tile(image, (20, 3, 1))
    size = large.shape[:2]
    monkeypatch.setattr(image_measures, "_MOST_PIXELS", 300 * size[1])
    # Some are resized when a part is asked for, and some before.
    small = resized_image({"image": large}, 0, size)
    monkeypatch.setattr("keras_rlr.inputs.host_batches._MOST_PIXELS_KEPT", 1)
    parts = resized_image({"image": large}, 0, size)
    assert not hasattr(small, "size")
    assert parts.size == size
    found = measure_image(small)
    assert measure_image(parts) == pytest.approx(found, abs=1e-5)
    assert found["brightness"] == pytest.approx(image.mean() / 255, rel=0.01)
