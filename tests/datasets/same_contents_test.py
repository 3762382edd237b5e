"""Test images that are copies of training images, in every layout."""

import os
import shutil

import pytest

from keras_rlr.datasets.verify_dataset import verify_dataset
from tests.datasets.layouts.write_files import write_image, write_mask, write_visa
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


def write_layout(root, layout):
    """Returns a training image and one of each kind that is tested on."""
    if layout == "visa":
        write_visa(root)
        folder = "candle/Data/Images"
        return [f"{folder}/Normal/0000.JPG", f"{folder}/Normal/0003.JPG",
                f"{folder}/Anomaly/000.JPG"]  # fmt: skip
    names = {
        "mvtec": ["nut/train/good/0.png", "nut/test/good/0.png", "nut/test/dent/0.png"],
        "plain": ["normal/0.png", "normal_test/0.png", "anomalous/0.png"],
        "two products": ["a/normal/0.png", "b/normal_test/0.png", "b/anomalous/0.png",
                         "a/normal_test/0.png", "a/anomalous/0.png", "b/normal/0.png"],
        "fifth": [f"normal/{i}.png" for i in (0, 4, 1, 2, 3)],
        "kolektor": [f"kos{i:02}/Part0.jpg" for i in (1, 5, 2, 3, 4)],
    }[layout]  # fmt: skip
    for name in names:
        write_image(root, name)
        if layout == "kolektor":
            write_mask(root, name.replace(".jpg", "_label.bmp"), value=0)
    return names[:2] if layout in ("fifth", "kolektor") else names[:3]


@pytest.mark.parametrize(
    "layout", ["mvtec", "plain", "two products", "fifth", "visa", "kolektor"]
)
def test_a_copy_of_a_training_image_is_a_problem(tmp_path, layout):
    root = tmp_path / "set"
    trained, *tested = write_layout(root, layout)
    before = verify_dataset(root).problems
    assert not [problem for problem in before if "cop" in problem]
    for name in tested:
        kept = (root / name).read_bytes()
        shutil.copy(root / trained, root / name)
        (problem,) = [p for p in verify_dataset(root).problems if p not in before]
        assert "1 test image is a copy of images that are trained on" in problem
        assert f": '{name}' of '{trained}'. " in problem
        # A byte more, and it is no copy.
        (root / name).write_bytes((root / trained).read_bytes() + b"\0")
        assert verify_dataset(root).problems == before
        (root / name).write_bytes(kept)
    for name in tested:
        shutil.copy(root / trained, root / name)
    result = run("datasets", "verify", "--data", root)
    assert result.exit_code == 1
    assert "No problems" not in result.stdout
    assert result.stderr.count(f" of '{trained}'") == len(tested)


def test_links_are_refused_once_and_what_can_not_be_read_too(tmp_path):
    root = tmp_path / "set"
    trained, *tested = write_layout(root, "plain")
    for name in tested:
        (root / name).unlink()
    (root / tested[0]).symlink_to(root / trained)
    os.link(root / trained, root / tested[1])
    problems = verify_dataset(root).problems
    assert len([p for p in problems if "is the same file as" in p]) == 1
    # A second name of the file is as good as a copy.
    (copies,) = [p for p in problems if "1 test image is a copy" in p]
    assert tested[1] in copies and tested[0] not in copies
