import numpy as np
import pytest
from PIL import Image

from keras_rlr.datasets.verify_dataset import verify_dataset
from keras_rlr.inputs.mask_check import MaskCheck
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
