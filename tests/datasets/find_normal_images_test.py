"""What is taken for normal images, and what would be a guess."""

import pytest

from keras_rlr.datasets.find_normal_images import find_normal_images

pytestmark = pytest.mark.backend_independent


def write(root, files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (["line/b.png", "line/a.png"], "line"),
        (["line/gear/a.png", "line/wood/a.png", "line/c.png"], "line"),
        (["line/good/a.png", "line/ok/a.png", "line/good_2/a.png"], "line"),
        (["line/labels_of_jars/a.png", "line/caps/a.png"], "line"),
        (["line/test/gear/a.png", "line/test/wood/a.png"], "line/test"),
        (["line/test/gear/a.png", "line/train/gear/a.png"], "line/test"),
        (["c/test/good/a.png", "c/test/hole/a.png"], "c/test/good"),
        (["c/test/good/left/a.png", "c/test/hole/a.png"], "c/test/good/left"),
        (["masks_2024/jar/a.png", "other/train/good/b.png"], "masks_2024/jar"),
    ],
)
def test_folders_of_normal_images(tmp_path, files, folder):
    write(tmp_path, files)
    place = tmp_path / folder
    expected = sorted(file for file in files if (tmp_path / file).is_relative_to(place))
    found = [
        path.relative_to(tmp_path).as_posix() for path in find_normal_images(place)
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("files", "folder", "message"),
    [
        (["test/good/a.png", "test/hole/a.png"], "test", "'hole' beside normal"),
        (["x/ok/a.png", "x/gear/a.png"], "x", "'gear' beside normal"),
        (["x/gear/OK/a.png", "x/gear/cut/a.png"], "x", "'cut' beside normal"),
        (["x/ground_truth/hole/a.png"], "x/ground_truth", "has masks"),
        (["x/ground_truth/hole/a.png"], "x", "has masks"),
        (["c/train/good/a.png", "c/gt/hole/a.png"], "c/gt/hole", "masks of a data set"),
        (
            ["c/test/good/a.png", "c/ground_truth/logical/000/0.png"],
            "c/ground_truth/logical/000",
            "masks of a data set",
        ),
        (["c/test/good/a.png", "c/test/hole/a.png"], "c/test/hole", "kind of defect"),
        (["c/train/ok/a.png", "c/test/hole/a.png"], "c/test", "kind of defect"),
        (["c/ground_truth/hole/a.png", "c/test/hole/b.png"], "c/test", "of defect"),
        (["c/bad/a.png"], "c/bad", "'bad' has anomalous images"),
        (["c/x/Defective/a.png", "c/x/y/a.png"], "c", "'Defective' has anomalous"),
        (["c/a.png", "c/a_mask.png"], "c", "it has masks"),
        (["c/a.png", "c/b_mask.png"], "c", "may be a mask by its name"),
        (["c/a.png", "c/masks/a.png"], "c", "it has masks"),
    ],
)
def test_what_is_refused(tmp_path, monkeypatch, files, folder, message):
    write(tmp_path, files)
    with pytest.raises(ValueError, match=message):
        find_normal_images(tmp_path / folder)
    # By its own name, whatever it is called on the way.
    monkeypatch.chdir(tmp_path / folder)
    with pytest.raises(ValueError, match=message):
        find_normal_images(".")


def test_an_empty_folder_is_none_of_masks(tmp_path):
    (tmp_path / "masks").mkdir()
    assert find_normal_images(tmp_path / "masks") == []
