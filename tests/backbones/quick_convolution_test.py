"""Convolutions of backbones are those of Keras, and those of SciPy."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.signal import correlate2d

import keras_rlr
from keras_rlr.backbones import create_backbone
from keras_rlr.backbones.quick_convolution import convolve, use_quick_convolutions
from tests.fresh_process import run_fresh
from tests.tiny_model import tiny_backbone

BACKEND = keras.backend.backend()
SIDES = (7, 10)
# Kernels, strides and sides of which "same" adds nothing, as much, or more behind.
CASES = [
    (kernel, strides, padding)
    for kernel in ((1, 1), (3, 3), (2, 5))
    for strides in ((1, 1), (2, 2), (2, 1))
    for padding in ("same", "valid")
]


def is_quick(layer):
    return type(layer).__module__ == use_quick_convolutions.__module__


def random(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# On JAX others are Keras' own.
@pytest.mark.parametrize("depthwise", [False, True] if BACKEND == "torch" else [True])
@pytest.mark.skipif(BACKEND == "tensorflow", reason="all are Keras' own")
def test_equals_keras(depthwise):
    inputs = random((2, *SIDES, 6), 0)
    portable = ops.depthwise_conv if depthwise else ops.conv
    for kernel, strides, padding in CASES:
        # Keras' depthwise convolution on TensorFlow has one stride for both sides.
        if depthwise and strides[0] != strides[1]:
            continue
        weights = random((*kernel, 6, 1 if depthwise else 4), 1)
        found = convolve(inputs, weights, strides, padding, depthwise)
        expected = portable(inputs, weights, strides, padding, "channels_last")
        np.testing.assert_allclose(
            ops.convert_to_numpy(found),
            ops.convert_to_numpy(expected),
            atol=2e-5,
            err_msg=f"{kernel}, {strides}, {padding}",
        )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.skipif(BACKEND == "tensorflow", reason="all are Keras' own")
def test_sums_in_half_precision_lose_no_digits(dtype):
    inputs, weights = random((1, 9, 9, 4), 5), random((5, 5, 4, 1), 6)
    inputs, weights = (ops.cast(x, dtype) for x in (inputs, weights))
    found = convolve(inputs, weights, (1, 1), "valid", True)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    inputs, weights, found = (
        ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")
        for x in (inputs, weights, found)
    )
    for channel in range(4):
        image, kernel = inputs[0, ..., channel], weights[..., channel, 0]
        expected = correlate2d(image, kernel, mode="valid")
        # The result's own rounding, half of its last digit, and a little.
        last_digit = {"bfloat16": 2**-8, "float16": 2**-11}[dtype]
        np.testing.assert_allclose(
            found[0, ..., channel], expected, rtol=1.01 * last_digit, atol=1e-5
        )


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.skipif(BACKEND == "tensorflow", reason="all are Keras' own")
def test_a_depthwise_one_is_that_of_scipy(side):
    """Also where a stride leaves out the last row."""
    inputs, weights = random((1, side, 9, 3), 2), random((3, 5, 3, 1), 3)
    found = ops.convert_to_numpy(convolve(inputs, weights, (2, 2), "valid", True))
    for channel in range(3):
        image, kernel = inputs[0, ..., channel], weights[..., channel, 0]
        expected = correlate2d(image, kernel, mode="valid")[::2, ::2]
        np.testing.assert_allclose(found[0, ..., channel], expected, atol=1e-5)


def network():
    """All that a layer may have, and layers that are left as they are."""
    image = keras.Input((16, 16, 3))
    conv, depthwise = keras.layers.Conv2D, keras.layers.DepthwiseConv2D
    x = conv(8, 3, 2, padding="same", activation="relu", name="a")(image)
    x = depthwise(3, padding="same", activation="tanh", name="b")(x)
    x = keras.layers.BatchNormalization()(x)
    x = conv(8, 1, use_bias=False, name="c")(x)
    x = depthwise(5, 2, padding="valid", use_bias=False, name="d")(x)
    x = conv(6, 2, groups=2, name="grouped")(x)
    x = conv(6, 1, padding="same", dilation_rate=2, name="dilated")(x)
    x = depthwise(1, depth_multiplier=2, name="multiplied")(x)
    model = keras.Model(image, x)
    model.set_weights([random(w.shape, i) ** 2 for i, w in enumerate(model.weights)])
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_models_layers_compute_the_same(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy(before)
    images = random((3, 16, 16, 3), 9)
    expected = ops.convert_to_numpy(ops.cast(model(images), "float32"))
    names = [weight.path for weight in model.weights]
    use_quick_convolutions(model)
    changed = {layer.name for layer in model.layers if is_quick(layer)}
    assert changed == (set() if BACKEND == "tensorflow" else set("abcd"))
    assert [weight.path for weight in model.weights] == names
    found = model(images)
    assert keras.backend.standardize_dtype(found.dtype) == (
        "float32" if policy == "float32" else "bfloat16"
    )
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    tolerance = 1e-5 if policy == "float32" else 0.05
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


def test_a_detectors_backbone_has_them_and_a_users_model_has_not():
    detector = keras_rlr.PatchCore(
        backbone="efficientnet_lite2", levels=(1, 2), image_size=32
    )
    layers = detector.feature_extractor.backbone.layers
    kinds = [layer for layer in layers if "Conv2D" in type(layer).__name__]
    assert len(kinds) > 15
    assert {is_quick(layer) for layer in kinds} == {BACKEND != "tensorflow"}
    images = random((2, 32, 32, 3), 4) * 50 + 120
    untouched = create_backbone("efficientnet_lite2", levels=(1, 2), image_size=32)
    pixels = (images - 127) / 128
    for found, expected in zip(
        detector.feature_extractor.backbone(pixels, training=False),
        untouched.model(pixels, training=False),
        strict=True,
    ):
        found, expected = map(ops.convert_to_numpy, (found, expected))
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    own = tiny_backbone()
    keras_rlr.PatchCore(backbone=own, levels=(1, 2), image_size=32)
    assert not any(is_quick(layer) for layer in own.layers)


ANOTHER = """
import sys, keras, numpy as np
import keras_rlr
model = keras.saving.load_model(sys.argv[1])
np.savez(sys.argv[2], *model.get_weights())
"""


def test_files_are_the_same_for_every_backend(tmp_path):
    """Keras orders weights in a file by the names of classes."""
    model = keras_rlr.PatchCore(
        backbone="efficientnet_lite2", levels=(1,), image_size=32, seed=0
    )
    files = [tmp_path / name for name in ("model.keras", "weights.npz")]
    model.save(files[0])
    other = "torch" if BACKEND == "tensorflow" else "tensorflow"
    done = run_fresh(ANOTHER, *files, backend=other)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = model.get_weights()
    with np.load(files[1]) as arrays:
        assert len(arrays.files) == len(expected) > 50
        for name, weight in zip(arrays.files, expected, strict=True):
            np.testing.assert_array_equal(arrays[name], weight)
