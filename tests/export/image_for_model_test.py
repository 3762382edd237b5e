"""The resize that clients of square formats are told, against what `predict` does."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_rlr.export.image_for_model import image_for_model
from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.inputs.pillow_images import image_to_array
from tests.tiny_model import random_images

pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[2]
SIZES = [(37, 50), (300, 200), (64, 64), (1, 90), (63, 65)]
DEEP = np.arange(300 * 200, dtype="uint16").reshape(300, 200)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "CMYK"])
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_predict(mode, size):
    image = Image.fromarray(random_images(1, *size)[0]).convert(mode)
    expected = to_resized_rgb(image_to_array(image), (64, 48), "it")
    square = image_for_model(image, 64, 48)
    assert (square.dtype, square.shape) == (np.float32, (1, 64, 48, 3))
    np.testing.assert_allclose(square[0], expected, atol=1e-3)


def test_grey_of_16_bits_keeps_them():
    expected = to_resized_rgb(DEEP[..., None], 64, "it")
    square = image_for_model(Image.fromarray(DEEP), 64, 64)[0]
    np.testing.assert_allclose(square, expected, atol=1e-3)


@pytest.mark.parametrize("file", ["docs/export.md", "examples/litert/score_images.py"])
def test_users_are_told_what_exports_are_compared_by(file):
    assert inspect.getsource(image_for_model) in (ROOT / file).read_text()
