import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_rlr.datasets.procedural.render_product import (
    KINDS,
    PROCEDURAL_CATEGORIES,
    render_product,
)

pytestmark = pytest.mark.backend_independent

PAIRS = [
    (category, defect)
    for category in PROCEDURAL_CATEGORIES
    for defect in KINDS[category].defects
]


def test_categories_and_kinds_of_defect():
    assert len(PROCEDURAL_CATEGORIES) == 6
    assert list(PROCEDURAL_CATEGORIES) == sorted(PROCEDURAL_CATEGORIES)
    assert {defect for _, defect in PAIRS} == {
        "contamination",
        "hole",
        "misplaced_part",
        "missing_part",
        "scratch",
        "stain",
    }


@settings(max_examples=60)
@given(
    pair=st.sampled_from(PAIRS),
    seed=st.integers(0, 2**31),
    size=st.sampled_from([None, (64, 64), (100, 150), (256, 256)]),
)
def test_the_mask_is_exactly_where_the_normal_twin_differs(pair, seed, size):
    category, defect = pair
    image, mask = render_product(category, (seed,), defect, size)
    twin, nothing = render_product(category, (seed,), None, size)
    assert image.dtype == twin.dtype == np.uint8
    assert image.shape == twin.shape == (*(size or KINDS[category].size), 3)
    assert mask.dtype == bool and mask.shape == image.shape[:2]
    assert not nothing.any()
    change = np.abs(image.astype(int) - twin).max(axis=-1)
    np.testing.assert_array_equal(change > 0, mask)
    assert change[mask].min() >= 12


@pytest.mark.parametrize(("category", "defect"), PAIRS)
def test_defects_are_neither_tiny_nor_all_over(category, defect):
    for seed in range(6):
        _, mask = render_product(category, (seed, 7), defect, (128, 128))
        assert 0.002 < mask.mean() < 0.25, seed


@pytest.mark.parametrize("category", PROCEDURAL_CATEGORIES)
def test_normal_images_vary_and_repeat(category):
    first, _ = render_product(category, (0, 1), None, (96, 96))
    again, _ = render_product(category, (0, 1), None, (96, 96))
    other, _ = render_product(category, (0, 2), None, (96, 96))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 8
