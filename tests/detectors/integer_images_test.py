"""Images of whole numbers that a model is called with: what `predict` makes of them."""

import keras
import numpy as np
import pytest

from keras_rlr.models import Preprocessor
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, tiny_model

BITS = [(None, 65535), (12, 4095)]


@pytest.fixture(scope="module")
def model():
    return tiny_model(**ONE_LEVEL)


def images_of(highest):
    generator = np.random.default_rng(0)
    shape = (2, IMAGE_SIZE, IMAGE_SIZE, 3)
    return generator.integers(0, highest + 1, shape).astype("uint16")


@pytest.mark.parametrize(("bits", "highest"), BITS)
@pytest.mark.parametrize("as_dict", [False, True])
def test_a_call_scales_uint16(model, bits, highest, as_dict):
    images = images_of(highest)
    in_8_bits = images.astype("float64") / highest * 255
    model.bit_depth = bits
    received = model({"image": images} if as_dict else images)
    expected = model(in_8_bits.astype("float32"))
    for name, values in expected.items():
        np.testing.assert_allclose(*map(as_array, (received[name], values)), rtol=1e-4)


@pytest.mark.parametrize(("bits", "highest"), BITS)
def test_a_preprocessor_scales_uint16(bits, highest):
    images = images_of(highest)
    layer = Preprocessor(IMAGE_SIZE, (0.0,) * 3, (1.0,) * 3, bits)
    expected = images.astype("float64") / highest * 255
    np.testing.assert_allclose(as_array(layer(images)), expected, atol=1e-3)


def test_keras_tensors_of_uint16_are_scaled_or_refused(model):
    images = images_of(65535)
    model.bit_depth = None
    tensor = keras.ops.convert_to_tensor(images, dtype="uint16")
    if keras.backend.standardize_dtype(tensor.dtype) == "uint16":
        received = as_array(model(tensor)["anomaly_score"])
        expected = as_array(model(images)["anomaly_score"])
        np.testing.assert_allclose(received, expected, rtol=1e-4)
        return
    assert keras.backend.backend() == "torch"
    with pytest.raises(ValueError, match=r"int32 with the value \d+, outside of 0-255"):
        model(tensor)


@pytest.mark.parametrize("value", [-1, 256])
@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_other_integers_outside_of_8_bits_are_refused(value, dtype):
    layer = Preprocessor(IMAGE_SIZE, (0.0,) * 3, (1.0,) * 3)
    images = np.full((1, IMAGE_SIZE, IMAGE_SIZE, 3), 7, dtype)
    assert float(keras.ops.max(layer(images))) == 7
    images[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match=f"{dtype} with the value {value}, outside"):
        layer(images)


def as_array(tensor):
    return keras.ops.convert_to_numpy(tensor)
