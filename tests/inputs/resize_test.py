"""Resizing on the host, against dense matrix products in double precision."""

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_rlr.inputs import resize
from keras_rlr.inputs.host_batches import stack_images
from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.inputs.resize import resize_images, resize_maps, resize_weights
from keras_rlr.inputs.value_ranges import ValueRanges

pytestmark = pytest.mark.backend_independent

SIDES = st.one_of(st.integers(1, 8), st.integers(1, 300), st.sampled_from([1, 2000]))
DTYPES = ("uint8", "uint16", "int32", "float32", "float64")


def dense_weights(source, target):
    """The triangle filter, written out for every pair of pixels."""
    scale = source / target
    centre = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centre[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return weights / weights.sum(axis=1, keepdims=True)


def dense_resize(image, height, width):
    rows = dense_weights(image.shape[0], height)
    columns = dense_weights(image.shape[1], width)
    return np.einsum("ah,bw,hwc->abc", rows, columns, image, optimize=True)


def noise(height, width, channels, dtype="uint8", seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels))
    return image.astype(dtype)


@settings(max_examples=60)
@given(SIDES, SIDES, st.integers(1, 140), st.integers(1, 4), st.sampled_from(DTYPES))
def test_pixels_are_those_of_dense_products(height, width, size, channels, dtype):
    image = noise(height, width, channels, dtype)
    resized = resize_images(image, size)
    assert resized.dtype == np.float32
    expected = dense_resize(image, size, size)
    np.testing.assert_allclose(resized, expected, atol=1e-4)


@settings(max_examples=40)
@given(st.integers(1, 3000), st.integers(1, 300))
def test_weights_are_those_of_the_triangle(source, target):
    np.testing.assert_allclose(
        resize_weights(source, target), dense_weights(source, target), atol=1e-7
    )


@settings(max_examples=30)
@given(SIDES, SIDES, st.integers(1, 40))
def test_maps_are_resized_alike(height, width, side):
    values = noise(side, side, 1, "float32")[None, ..., 0] / 255
    (resized,) = resize_maps(values, [(height, width)])
    expected = dense_resize(values[0][..., None], height, width)[..., 0]
    np.testing.assert_allclose(resized, expected, atol=1e-5)


@pytest.mark.parametrize("size", [(41, 97), (150, 20), (300, 500)])
def test_large_maps_are_resized_in_parts_to_the_same_values(size, monkeypatch):
    maps = noise(120, 80, 1, "float32")[None, ..., 0]
    (whole,) = resize_maps(maps, [size])
    monkeypatch.setattr(resize, "_MAP_PART", 700)
    (in_parts,) = resize_maps(maps, [size])
    np.testing.assert_array_equal(in_parts, whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_conversion_after_the_resize_is_that_of_before(channels, dtype):
    image = noise(50, 70, channels, dtype)
    if dtype == "uint16":
        image = image * np.uint16(257)
    whole = image.astype("float64") / (257 if dtype == "uint16" else 1)
    colours = np.repeat(whole[..., :1], 3, -1) if channels < 3 else whole[..., :3]
    square = to_resized_rgb(image, 32, "it")
    assert square.dtype == np.float32 and square.flags.c_contiguous
    np.testing.assert_allclose(square, dense_resize(colours, 32, 32), atol=1e-4)


def test_large_images_are_never_float32_as_a_whole():
    image = noise(3000, 2000, 3)
    tracemalloc.start()
    try:
        to_resized_rgb(image, 256, "it")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < image.nbytes  # of float32 it would be four times that


def test_batches_of_one_size_are_not_stacked_before():
    images = [noise(1200, 1000, 3, seed=i) for i in range(6)]
    elements = [{"image": image} for image in images]
    tracemalloc.start()
    try:
        batch = stack_images(elements, 64, range(6), ValueRanges())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * images[0].nbytes
    for image, square in zip(images, batch, strict=True):
        np.testing.assert_allclose(square, dense_resize(image, 64, 64), atol=1e-4)


def test_a_batch_is_resized_on_other_threads():
    resizing = []

    def note(frame, event, argument):
        if event == "call" and frame.f_code is resize_images.__code__:
            resizing.append(threading.current_thread())

    elements = [{"image": noise(300, 200, 3)} for _ in range(8)]
    threading.setprofile(note)  # of threads that are started from here on
    try:
        stack_images(elements, 64, range(8), ValueRanges())
    finally:
        threading.setprofile(None)
    assert len(resizing) == 8
    assert threading.current_thread() not in resizing


def test_pillow_agrees_by_channels_of_floats():
    image = noise(333, 222, 3)
    channels = [
        Image.fromarray(image[..., i].astype("float32")).resize(
            (100, 100), Image.Resampling.BILINEAR
        )
        for i in range(3)
    ]
    expected = np.stack([np.asarray(channel) for channel in channels], -1)
    np.testing.assert_allclose(resize_images(image, 100), expected, atol=1e-4)
