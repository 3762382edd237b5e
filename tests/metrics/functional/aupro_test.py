import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from keras_rlr.metrics.functional import aupro

pytestmark = pytest.mark.backend_independent


def flood(mask):
    """Connected regions, 8 neighbours, by walking from pixel to pixel."""
    left = set(zip(*np.nonzero(mask), strict=True))
    while left:
        region, border = set(), [left.pop()]
        while border:
            row, column = border.pop()
            region.add((row, column))
            for step in np.ndindex(3, 3):
                near = (row + step[0] - 1, column + step[1] - 1)
                if near in left:
                    left.remove(near)
                    border.append(near)
        yield region


def naive_aupro(masks, maps, limit):
    """The definition, threshold by threshold, in fractions."""
    regions = [
        [float(maps[i][pixel]) for pixel in region]
        for i, mask in enumerate(masks)
        for region in flood(mask)
    ]
    normal = maps[masks == 0]
    curve = [(Fraction(0), Fraction(0))]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        false = Fraction(int((normal >= threshold).sum()), normal.size)
        overlaps = [
            Fraction(sum(value >= threshold for value in region), len(region))
            for region in regions
        ]
        curve.append((false, sum(overlaps) / len(overlaps)))
    area = Fraction(0)
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 >= limit:
            break
        if x1 > limit:
            y1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
            x1 = limit
        area += (x1 - x0) * (y0 + y1) / 2
    return float(area / limit)


@pytest.mark.parametrize("limit", ["0.30", "0.05"])
def test_equals_the_golden_values(golden, limit):
    arrays = golden("metrics")
    value = aupro(arrays["masks"] > 0, arrays["maps"], float(limit))
    assert value == pytest.approx(float(arrays[f"pixel_aupro_{limit}"]), abs=1e-4)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 3).flatmap(
        lambda count: st.tuples(
            arrays_of.arrays("bool", (count, 4, 5)),
            arrays_of.arrays("int8", (count, 4, 5), elements=st.integers(0, 6)),
        )
    ),
    st.sampled_from([0.05, 0.3, 1.0]),
)
def test_equals_the_definition(arrays, limit):
    masks, maps = arrays
    if not masks.any() or masks.all():
        return
    expected = naive_aupro(masks, maps, Fraction(limit))
    assert aupro(masks, maps, limit) == pytest.approx(expected, abs=1e-12)


def test_a_region_counts_once_whatever_its_size():
    mask = np.zeros((8, 8), int)
    mask[0, 0] = 1
    mask[3:, 3:] = 1
    found = np.zeros((8, 8))
    found[0, 0] = 1
    # A found region has the overlap 1 at once; of the missed one, as of all normal
    # pixels, a share x is found by chance at a false-positive rate x: (1 + x) / 2.
    assert aupro(mask, found, 0.3) == pytest.approx((1 + 0.15) / 2)


def test_touching_corners_are_one_region():
    mask = np.zeros((1, 6, 6), int)
    mask[0, 1, 1] = mask[0, 2, 2] = 1
    mask[0, 4:, 4:] = 1
    found = np.zeros((1, 6, 6))
    found[0, 1, 1] = 1
    # Half of the first region of two, and of the rest by chance.
    share = 1 / 4
    assert aupro(mask, found, 1.0) == pytest.approx(share + (1 - share) / 2)


def test_regions_of_two_images_are_two():
    mask = np.zeros((2, 4, 4), int)
    mask[:, 1, 1] = 1
    found = mask.astype(float)
    found[1] = 0
    assert aupro(mask, found, 1.0) == pytest.approx(0.5 + 0.5 / 2)


@pytest.mark.parametrize("value", [0, 1])
def test_a_single_class_is_nan_with_a_warning(value):
    masks = np.full((1, 3, 3), value)
    with pytest.warns(UserWarning, match="AUPRO is undefined without both classes"):
        assert math.isnan(aupro(masks, np.zeros((1, 3, 3))))


@pytest.mark.parametrize(
    ("masks", "maps", "limit", "message"),
    [
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), 0.3, "same shape"),
        (np.zeros(4), np.zeros(4), 0.3, r"shape .images, height, width.. Received"),
        (np.full((1, 2, 2), 255), np.zeros((1, 2, 2)), 0.3, "a mask needs `mask > 0`"),
        (np.zeros((1, 2, 2)), np.full((1, 2, 2), np.nan), 0.3, "must hold no NaN"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), 0.0, "above 0 and at most 1"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), 1.5, "above 0 and at most 1"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), math.nan, "above 0 and at most 1"),
    ],
)
def test_refuses(masks, maps, limit, message):
    with pytest.raises(ValueError, match=message):
        aupro(masks, maps, limit)
