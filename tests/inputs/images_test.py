"""Arrays of every kind to float32 RGB, and masks to the model's size."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import torch
from PIL import Image

from keras_rlr.inputs.images import to_array, to_rgb
from keras_rlr.inputs.masks import to_small_mask
from keras_rlr.inputs.truth import true_mask

pytestmark = pytest.mark.backend_independent


def test_16_bit_images_span_the_same_range():
    image = np.array([[[0], [257], [65535]]], "uint16")
    np.testing.assert_array_equal(to_rgb(image, "it")[0, :, 0], [0, 1, 255])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels(channels):
    image = np.random.default_rng(0).integers(0, 256, (4, 5, channels)).astype("uint8")
    rgb = to_rgb(image, "it")
    assert rgb.shape == (4, 5, 3) and rgb.dtype == np.float32
    expected = image[..., :3] if channels > 2 else np.repeat(image[..., :1], 3, -1)
    np.testing.assert_array_equal(rgb, expected)


def test_tensors_of_other_libraries():
    values = np.arange(12.0, dtype="float32").reshape(2, 2, 3)
    for tensor in (tf.constant(values), torch.tensor(values, requires_grad=True)):
        np.testing.assert_array_equal(to_array(tensor), values)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_pixels_that_are_not_finite(bad, dtype):
    image = np.full((3, 3, 3), 100.0)
    image[1, 1] = bad
    with pytest.raises(
        ValueError, match=r"image 7 with pixels that are NaN or infinite"
    ):
        to_rgb(image.astype(dtype), "image 7")


@pytest.mark.parametrize("side", [3, 64, 100, 256, 701])
def test_masks_are_resized_as_pillow_does(side):
    mask = np.random.default_rng(side).integers(0, 3, (side, side + 5)).astype("uint8")
    expected = Image.fromarray(mask).resize((64, 64), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(to_small_mask(mask, 64), np.asarray(expected) > 0)
    np.testing.assert_array_equal(
        to_small_mask(mask[..., None], 64), to_small_mask(mask, 64)
    )


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"mask must be \(height, width\)"):
        to_small_mask(np.zeros((4, 4, 3)), 8)


@pytest.mark.parametrize("dtype", ["int8", "int32", "float32"])
def test_masks_with_values_below_0_are_refused(dtype):
    """255 as int8 is -1, and so is what other packages ignore: both were normal."""
    mask = np.zeros((4, 5), dtype)
    mask[1] = -1
    element = {"image": np.zeros((4, 5, 3), "uint8"), "mask": mask, "path": "a.png"}
    with pytest.raises(ValueError, match=r"\(a.png\).*the value -1, below 0"):
        true_mask(element, True, 0)


def test_masks_that_lie_on_their_side_are_refused():
    element = {"image": np.zeros((4, 6, 3), "uint8"), "mask": np.ones((6, 4))}
    with pytest.raises(ValueError, match="mask is 6x4 .*, and its image 4x6: it lies"):
        true_mask(element, True, 0)
    # It may have been resized as images are, to any size.
    for shape in ((4, 6), (4, 4), (8, 12), (12, 8)):
        assert true_mask({**element, "mask": np.ones(shape)}, True, 0).shape == shape


def test_masked_values_are_refused():
    """What lies below NumPy's mask was taken for an image, as of invalid heights."""
    image = np.ma.array(np.zeros((2, 3, 3), "uint8"))
    assert to_array(image).shape == (2, 3, 3)
    image[0, 1] = np.ma.masked
    with pytest.raises(ValueError, match=r"3 masked values of 18.*array.filled\(0\)"):
        to_array(image)
    assert to_array(image.filled(7))[0, 1, 0] == 7
