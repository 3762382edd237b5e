"""What is resized only where it is asked for is the same as all of it at once."""

import numpy as np
import pytest

from keras_rlr.inputs import host_batches
from keras_rlr.inputs.host_batches import resized_image
from keras_rlr.inputs.large_image import LargeImage
from tests.tiny_model import random_images

pytestmark = pytest.mark.backend_independent

COLOUR = random_images(1, 90, 130)[0]
IMAGES = {
    "colour": COLOUR,
    "grey": COLOUR[..., 0],
    "with alpha": np.concatenate([COLOUR, COLOUR[..., :1]], -1),
    "float": COLOUR.astype("float32") / 1.1,
    "uint16": COLOUR[..., :1].astype("uint16") * 16,
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("size", [(60, 200), (90, 130), (33, 40)])
def test_parts_are_those_of_the_whole(name, size, monkeypatch):
    depth = 12 if name == "uint16" else None
    element = {"image": IMAGES[name]}
    whole = resized_image(element, 0, size, depth)
    monkeypatch.setattr(host_batches, "_MOST_PIXELS_KEPT", 1000)
    large = resized_image(element, 0, size, depth)
    assert isinstance(large, LargeImage)
    assert (large.shape, large.ndim) == (whole.shape, whole.ndim)
    np.testing.assert_array_equal(large.pixels, whole.pixels)
    part = large.part(7, 9, 20, 30)
    np.testing.assert_allclose(part, whole.part(7, 9, 20, 30), atol=1e-4)
    assert part.shape == (20, 30, 3)


def test_what_can_not_be_read_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(host_batches, "_MOST_PIXELS_KEPT", 1000)
    for image in (np.full((60, 60, 3), np.nan), np.zeros((60, 60, 7), "uint8")):
        with pytest.raises(ValueError, match="image 3"):
            resized_image({"image": image}, 3, (50, 50))
