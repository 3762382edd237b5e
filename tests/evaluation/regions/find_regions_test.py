"""Regions of maps, against counting, filling and rasterising their pixels."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw
from scipy import ndimage

import keras_rlr

pytestmark = pytest.mark.backend_independent

AROUND = np.ones((3, 3), int)
# Few values, so that pixels touch in all ways and some are the threshold itself.
MAPS = arrays(
    "float32",
    array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([-1.0, 0.5, 1.0, 2.0]),
)


def rasterised(polygon, shape):
    """The pixels whose centres are within a polygon, by counting what is left of them.

    Every vertical edge turns the pixels to its right over: the even-odd rule.
    """
    xs, ys = np.array(polygon[0::2]), np.array(polygon[1::2])
    inside = np.zeros(shape, bool)
    for x, y, next_y in zip(xs, ys, np.roll(ys, -1), strict=True):
        inside[min(y, next_y) : max(y, next_y), x:] ^= True
    return inside


def enclosed(polygon):
    """Area of a polygon by the shoelace formula, positive where it goes clockwise."""
    xs, ys = np.array(polygon[0::2]), np.array(polygon[1::2])
    return (xs * np.roll(ys, -1) - np.roll(xs, -1) * ys).sum() / 2


@given(MAPS, st.sampled_from([0.0, 0.5, 0.75, 2.0, 3.0]))
def test_regions_are_the_pixels_that_reach_the_threshold(values, threshold):
    inside = values >= threshold
    labels, count = ndimage.label(inside, AROUND)
    found = keras_rlr.regions(values, threshold)
    assert len(found) == count
    assert sum(region.area for region in found) == np.count_nonzero(inside)
    scores = [region.score for region in found]
    assert scores == sorted(scores, reverse=True)
    seen = np.zeros_like(inside)
    for region in found:
        x, y, width, height = region.box
        filled = rasterised(region.polygon, values.shape)
        own = labels[filled & inside]
        # The region is that whose outline this is; others may lie in its holes.
        number = labels[region.polygon[1], region.polygon[0]]
        of_region = labels == number
        assert number in own
        assert np.array_equal(filled, ndimage.binary_fill_holes(of_region))
        assert region.area == np.count_nonzero(of_region)
        assert region.hole_area == np.count_nonzero(filled) - region.area
        assert enclosed(region.polygon) == region.area + region.hole_area
        rows, columns = np.nonzero(of_region)
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width - 1, y + height - 1) == (columns.max(), rows.max())
        assert region.score == values[of_region].max()
        assert not (seen & of_region).any()
        seen |= of_region
    assert np.array_equal(seen, inside)


@given(MAPS)
def test_polygons_have_corners_alone(values):
    for region in keras_rlr.regions(values, 0.5):
        steps = np.diff(np.reshape([*region.polygon, *region.polygon[:2]], (-1, 2)).T)
        straight = steps != 0
        # Each step is along one axis, and the next along the other.
        assert (straight.sum(axis=0) == 1).all()
        assert (straight[0] != np.roll(straight[0], 1)).all()


def test_what_is_drawn_is_found():
    picture = Image.new("F", (90, 60))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((10, 5, 40, 30), fill=2.0)
    draw.ellipse((18, 12, 30, 20), fill=0.0)  # a hole
    draw.rectangle((60, 40, 64, 42), fill=5.0)
    values = np.asarray(picture)
    small, large = keras_rlr.regions(values, 1)
    assert small == {
        "box": (60, 40, 5, 3),
        "polygon": [60, 40, 65, 40, 65, 43, 60, 43],
        "area": 15,
        "hole_area": 0,
        "score": 5.0,
    }
    assert large.box == (10, 5, 31, 26)
    assert large.hole_area == np.count_nonzero(values[12:21, 18:31] == 0) > 0
    assert json.loads(json.dumps(large))["box"] == [10, 5, 31, 26]


def test_pixels_that_touch_at_a_corner_are_one_region_with_one_outline():
    (region,) = keras_rlr.regions(np.eye(3), 1.0)
    assert region.area == 3
    assert region.polygon == [0, 0, 1, 0, 1, 1, 2, 1, 2, 2, 3, 2, 3, 3, 2, 3, 2, 2, 1,
                              2, 1, 1, 0, 1]  # fmt: skip


@pytest.mark.parametrize(
    ("threshold", "count"), [(0.0, 1), (1.0, 0), (-np.inf, 1), (np.inf, 0)]
)
def test_all_or_nothing(threshold, count):
    found = keras_rlr.regions(np.full((4, 6), 0.5, "float16"), threshold)
    assert len(found) == count
    assert [region.polygon for region in found] == [[0, 0, 6, 0, 6, 4, 0, 4]] * count


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool"])
def test_maps_of_any_numbers(dtype):
    values = np.array([[0, 1], [0, 0]], dtype)
    (region,) = keras_rlr.regions(values, np.float32(0.5))
    assert (region["box"], region["score"]) == ((1, 0, 1, 1), 1.0)
    assert isinstance(region.score, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((1, 4, 4)), r"shape \(1, 4, 4\). Give the maps of a batch one by one"),
        (np.ones(4), r"must be of one image, \(height, width\)"),
        (np.ones((0, 4)), "with pixels in it"),
        (1.0, r"shape \(\)"),
        ([["a"]], "must be an array of numbers"),
        (np.ones((2, 2), complex), "dtype complex128"),
        (np.array([[0, np.nan]]), "1 of 2 values of the anomaly map are NaN"),
        (np.array([[np.inf, -np.inf]]), "2 of 2 values of the anomaly map"),
    ],
)
def test_what_is_no_map_is_refused_in_a_sentence(values, message):
    with pytest.raises(ValueError, match=message):
        keras_rlr.regions(values, 0.5)


@pytest.mark.parametrize("threshold", [None, "1", np.nan, True, [1.0, 2.0], 1j])
def test_what_is_no_threshold_is_refused_in_a_sentence(threshold):
    with pytest.raises(ValueError, match="`threshold` must be a number, such as"):
        keras_rlr.regions(np.ones((2, 2)), threshold)
