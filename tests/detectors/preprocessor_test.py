"""Resizing and normalising: against Pillow and TensorFlow, on host and in graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from PIL import Image

from keras_rlr.detectors.preprocessor import resize_weights_in_graph
from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.inputs.resize import resize_images, resize_maps, resize_weights
from keras_rlr.models import Preprocessor

SIZES = [(700, 900), (1500, 1000), (256, 256), (100, 31), (257, 255), (64, 1)]


def random_image(height, width):
    generator = np.random.default_rng(height * 10_000 + width)
    return generator.integers(0, 256, (height, width, 3)).astype("float32")


def preprocess(images, size):
    layer = Preprocessor(size, (0.0,) * 3, (1.0,) * 3)
    return ops.convert_to_numpy(layer(images))


def pillow(image, size):
    channels = [
        Image.fromarray(channel).resize((size, size), Image.Resampling.BILINEAR)
        for channel in np.moveaxis(image, -1, 0)
    ]
    return np.stack([np.asarray(channel) for channel in channels], -1)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_resize_is_pillows_and_tensorflows(height, width):
    image = random_image(height, width)
    received = preprocess(image[None], 256)[0]
    np.testing.assert_allclose(received, pillow(image, 256), atol=1e-4 * 255)
    theirs = tf.image.resize(image, (256, 256), "bilinear", antialias=True).numpy()
    np.testing.assert_allclose(received, theirs, atol=1e-4 * 255)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_host_and_graph_resize_alike(height, width):
    image = random_image(height, width)
    np.testing.assert_allclose(
        resize_images(image, 96), preprocess(image[None], 96)[0], atol=1e-4 * 255
    )


def test_a_model_in_a_model_takes_any_size():
    """JAX then traces it with symbols in place of height and width."""

    class Inside(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.preprocessor = Preprocessor(16, (0.0,) * 3, (1.0,) * 3)

        def call(self, images):
            return self.preprocessor(images)

    images = keras.Input((None, None, 3))
    model = keras.Model(images, Inside()(images))
    assert model.output_shape == (None, 16, 16, 3)
    image = random_image(20, 33)[None].astype("float32")
    received = ops.convert_to_numpy(model(image))
    np.testing.assert_allclose(received, preprocess(image, 16), atol=1e-4 * 255)


@pytest.mark.backend_independent
@pytest.mark.needs_tensorflow  # elsewhere every size is known
@settings(max_examples=25)
@given(st.integers(1, 400), st.integers(1, 120))
def test_weights_for_a_size_known_at_run_time(source, target):
    weights = ops.convert_to_numpy(
        resize_weights_in_graph(ops.convert_to_tensor(source, "int32"), target)
    )
    np.testing.assert_allclose(weights, resize_weights(source, target), atol=2e-5)


@pytest.mark.backend_independent
@settings(max_examples=25)
@given(st.integers(1, 400), st.integers(1, 120))
def test_weights_are_a_mean_of_nearby_pixels(source, target):
    weights = resize_weights(source, target)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    # A symmetric line stays symmetric: no shift by half a pixel.
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-5)


def test_dtypes_and_channels():
    image = random_image(40, 30)[None]
    expected = preprocess(image, 32)
    np.testing.assert_allclose(
        preprocess(image.astype("uint8"), 32), expected, atol=1e-3
    )
    if keras.backend.backend() != "torch":  # which has no uint16 to tell it by
        wide = image.astype("uint16") * 257
        np.testing.assert_allclose(preprocess(wide, 32), expected, atol=1e-3)
    alpha = np.concatenate([image, image[..., :1]], -1)
    np.testing.assert_allclose(preprocess(alpha, 32), expected, atol=1e-3)
    grey = preprocess(image[..., :1], 32)
    np.testing.assert_allclose(grey, np.repeat(expected[..., :1], 3, -1), atol=1e-3)


def test_normalisation_is_that_of_imagenet():
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    layer = Preprocessor(32, 255 * mean, 255 * std)
    image = random_image(32, 32)
    expected = (image / 255 - mean) / std
    received = ops.convert_to_numpy(layer(image[None]))[0]
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)
    again = Preprocessor.from_config(layer.get_config())
    np.testing.assert_array_equal(ops.convert_to_numpy(again(image[None]))[0], received)
    assert layer.compute_output_shape((None, None, None, 1)) == (None, 32, 32, 3)


def test_float32_whatever_the_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        received = preprocess(random_image(50, 40)[None], 32)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(received, preprocess(random_image(50, 40)[None], 32))


@pytest.mark.parametrize("shape", [(32, 32, 3), (1, 3, 32, 32), (1, 32, 32, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="Images must be a batch.*1, 3 or 4 channels"):
        preprocess(np.zeros(shape, "float32"), 32)


@pytest.mark.backend_independent
def test_maps_go_back_to_their_images_sizes():
    maps = np.random.default_rng(0).random((2, 16, 16)).astype("float32")
    resized = resize_maps(maps, [(40, 20), (16, 16)])
    assert [m.shape for m in resized] == [(40, 20), (16, 16)]
    np.testing.assert_allclose(resized[1], maps[1], rtol=1e-6)
    for before, after in zip(maps, resized, strict=True):
        assert after.mean() == pytest.approx(before.mean(), rel=0.02)


@pytest.mark.parametrize("bits", [None, 9, 12, 16])
def test_uint16_in_the_graph_is_what_it_is_on_the_host(bits):
    if keras.backend.backend() == "torch":
        return  # Keras gives int32 there, see the class
    image = np.arange(40 * 50, dtype="uint16").reshape(1, 40, 50, 1) % 512
    layer = Preprocessor(16, (0.0,) * 3, (1.0,) * 3, bit_depth=bits)
    expected = to_resized_rgb(image, 16, "it", bits)
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(image)), expected, rtol=1e-5, atol=1e-4
    )
    assert Preprocessor.from_config(layer.get_config()).bit_depth == bits
    old = {k: v for k, v in layer.get_config().items() if k != "bit_depth"}
    assert Preprocessor.from_config(old).bit_depth is None
