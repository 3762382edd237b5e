import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_rlr.datasets.verify_dataset import verify_dataset
from keras_rlr.inputs.mask_check import MaskCheck
from keras_rlr.inputs.masks import resize_mask
from tests.datasets.layouts.write_files import write_image

pytestmark = pytest.mark.backend_independent

SIZE = (300, 300)


def masks():
    empty, full = np.zeros(SIZE, "uint8"), np.full(SIZE, 255, "uint8")
    large, thin = full.copy(), empty.copy()
    large[:100] = 0
    # Nearest neighbours at 256 of 300 pixels skip some columns; 3 is one of them.
    kept = {(2 * i + 1) * 300 // 512 for i in range(256)}
    thin[:, min(set(range(300)) - kept)] = 1
    right = empty.copy()
    right[:30, :30] = 1
    partly = np.roll(right, 90, 1) + thin
    alpha = np.zeros((*SIZE, 4), "uint8")
    alpha[:20, :20, 3] = 255
    white = alpha.copy()
    white[..., :3] = 255
    opaque = np.dstack([right] * 3 + [full])
    return {
        "empty": ("have no anomalous pixel", empty),
        "full": ("call every pixel anomalous", full),
        "large": ("more than half", large),
        "thin": ("vanish when they are brought to 256x256", thin),
        "alpha": ("in their alpha channel", alpha),
        "white": ("in their alpha channel", white),
        "opaque": ("", opaque),
        "right": ("", right),
        "partly": ("lose 7 of their 14 connected regions", partly),
    }


@pytest.mark.parametrize("name", masks())
def test_verify_warns_of_odd_masks(tmp_path, name):
    expected, mask = masks()[name]
    write_image(tmp_path, "nut/train/good/0.png", size=SIZE)
    write_image(tmp_path, "nut/test/good/0.png", size=SIZE)
    for i in range(7):
        write_image(tmp_path, f"nut/test/dent/{i}.png", size=SIZE)
        path = tmp_path / f"nut/ground_truth/dent/{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    result = verify_dataset(tmp_path)
    assert not result.problems
    if expected:
        (warning,) = result.warnings
        assert warning.startswith("7 of 7 masks ") and expected in warning
        assert "nut/test/dent/0.png" in warning and warning.endswith("and 2 more.")
    else:
        assert not result.warnings


def test_one_warning_of_each_kind():
    check = MaskCheck(8)
    for i in range(3):
        check.add(f"empty {i}", np.zeros((9, 9)), np.zeros((8, 8)))
        check.add(f"full {i}", np.ones((9, 9, 1)), np.ones((8, 8)))
    check.add("lost", np.eye(9), np.zeros((8, 8)))
    with pytest.warns(UserWarning) as warned:
        check.warn()
    assert len(warned) == 3
    assert "3 of 7 masks" in str(warned[0].message)
    assert "empty 0, empty 1, empty 2." in str(warned[0].message)


@given(
    points=st.sets(st.tuples(st.integers(0, 13), st.integers(0, 19)), min_size=1),
    size=st.tuples(st.integers(3, 30), st.integers(3, 30)),
)
def test_regions_are_lost_whose_pixels_no_new_pixel_takes(points, size):
    mask = np.zeros((56, 80), "uint8")
    # Four apart, so that none touches another.
    for row, column in points:
        mask[4 * row, 4 * column] = 255
    taken = [
        {math.floor((i + 0.5) * old / new) for i in range(new)}
        for old, new in zip(mask.shape, size, strict=True)
    ]
    kept = {p for p in points if 4 * p[0] in taken[0] and 4 * p[1] in taken[1]}
    check = MaskCheck(size)
    check.add("a", mask, resize_mask(mask, *size))
    warned = check.warnings()
    if kept == points:
        assert not warned
    elif kept:
        lost = len(points) - len(kept)
        assert f"lose {lost} of their {len(points)} connected regions" in warned[0]
    else:
        assert "all of them vanish" in warned[0]


def test_regions_that_touch_by_a_corner_are_one():
    mask = np.zeros((300, 300), bool)
    mask[3, 3] = mask[4, 4] = True
    check = MaskCheck(256)
    check.add("a", mask, resize_mask(mask, 256, 256))
    assert not check.warnings()
