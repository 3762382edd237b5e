"""Images that exports are compared on."""

import numpy as np
import pytest

from keras_rlr.export.sample_images import one_tile_each
from keras_rlr.inputs.resize import resize_images
from keras_rlr.tiling import Tiling
from tests.tiny_model import random_images

pytestmark = pytest.mark.backend_independent


def test_tiles_are_of_all_places_and_have_their_own_scale():
    tiling = Tiling.of((3, 6), 0.25, (32, 48))
    images = list(random_images(36, 70, 150, seed=2))
    tiles = one_tile_each(images, tiling)
    assert {tile.shape for tile in tiles} == {(32, 48, 3)}
    numbers = []
    for image, tile in zip(images, tiles, strict=True):
        whole = resize_images(image, tiling.whole_size)
        cut = np.stack([tiling.cut(whole, number) for number in range(tiling.count)])
        differences = np.abs(cut - tile.astype("float32")).max((1, 2, 3))
        assert differences.min() <= 0.501
        numbers.append(int(differences.argmin()))
    assert len(set(numbers)) > 15
