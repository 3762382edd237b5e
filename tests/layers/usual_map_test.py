"""Maps in units of what is usual in images that look alike."""

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from keras_rlr.layers import UsualMap
from tests.layer_test_case import check_layer

SIZE = 32


def maps_and_descriptions(count, seed=0):
    generator = np.random.default_rng(seed)
    maps = generator.gamma(2.0, 1.0, (count, SIZE, SIZE))
    descriptions = generator.normal(3.0, (1.0, 5.0, 0.2), (count, 3))
    return maps.astype("float32"), descriptions.astype("float32")


def filled(count=9, neighbors=4, power=1.0):
    layer = UsualMap(neighbors, power, capacity=12)
    maps, descriptions = maps_and_descriptions(count)
    layer(maps[:1], descriptions[:1])
    layer.store(layer.reduced(maps), descriptions)
    return layer, maps, descriptions


def naive(new, description, maps, descriptions, neighbors, power=1.0):
    """What the layer does, image by image, of one new image."""
    spread = descriptions.std(0)
    distances = (((descriptions - description) / spread) ** 2).sum(-1)
    near = np.argsort(distances)[:neighbors]
    squares = maps[near].reshape(len(near), 4, 8, 4, 8).mean((2, 4))
    kept = np.stack([gaussian_filter(square, 1) for square in squares])
    spreads = kept.std(0)
    usual = kept.mean(0) + 2 * (spreads + spreads.mean())
    # Each of the 32 pixels lies between the middles of two of the 4 squares.
    position = np.clip((np.arange(SIZE) + 0.5) / 8 - 0.5, 0, 3)
    rows = np.stack([np.interp(position, np.arange(4), column) for column in usual.T])
    both = np.stack([np.interp(position, np.arange(4), row) for row in rows.T])
    return new / both**power


@pytest.mark.parametrize(("neighbors", "power"), [(1, 1.0), (4, 0.5), (9, 1.0)])
def test_is_the_map_over_what_its_neighbors_have(neighbors, power):
    layer, maps, descriptions = filled(neighbors=neighbors, power=power)
    new, of_new = maps_and_descriptions(3, seed=1)
    found = keras.ops.convert_to_numpy(layer(new, of_new))
    for i in range(3):
        expected = naive(new[i], of_new[i], maps, descriptions, neighbors, power)
        np.testing.assert_allclose(found[i], expected, rtol=1e-4)


def test_fewer_images_than_neighbors_are_all_there_is():
    layer, maps, descriptions = filled(count=3, neighbors=8)
    found = keras.ops.convert_to_numpy(layer(maps[:1], descriptions[:1]))
    expected = naive(maps[0], descriptions[0], maps, descriptions, 3)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)


def test_maps_are_as_they_are_before_and_after():
    layer, maps, descriptions = filled()
    layer.forget()
    for other in (layer, UsualMap(3)):
        found = keras.ops.convert_to_numpy(other(maps, descriptions))
        np.testing.assert_array_equal(found, maps)


def test_without_any_error_nothing_is_divided_by_nothing():
    layer, maps, descriptions = filled()
    layer.store(layer.reduced(maps * 0), descriptions)
    found = keras.ops.convert_to_numpy(layer(maps, descriptions))
    np.testing.assert_array_equal(found, maps)


def test_means_of_sides_that_eight_does_not_divide():
    layer = UsualMap(1)
    layer.build((None, 20, 9), (None, 2))
    image = np.add.outer(np.arange(20.0), np.zeros(9))[None].astype("float32")
    found = layer.reduced(image)
    assert found.shape == (1, 2, 1)
    expected = gaussian_filter(np.array([[4.5], [14.5]], "float32"), 1)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)


def test_contract():
    layer, maps, descriptions = filled()
    check_layer(layer, maps, descriptions, frozen_weights=5, compute_dtype="float32")


@pytest.mark.parametrize("settings", [{"neighbors": 0}, {"capacity": 3}, {"power": 2}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(
        ValueError, match="must be (at least 1 and at most|from 0 to 1)"
    ):
        UsualMap(**{"neighbors": 4, **settings})


def test_what_can_not_be_kept_is_refused():
    layer, maps, descriptions = filled()
    reduced = layer.reduced(maps)
    for some, of_some in ((reduced[:0], descriptions[:0]), (reduced, descriptions[1:])):
        with pytest.raises(ValueError, match="1 to 12 images"):
            layer.store(some, of_some)
    with pytest.raises(ValueError, match="not finite"):
        layer.store(reduced * np.nan, descriptions)
