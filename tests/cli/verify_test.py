"""What `datasets verify`, `train` and `evaluate` say of files they leave out."""

import json

import pytest

from keras_rlr.datasets import write_procedural_dataset
from tests.datasets.layouts.write_files import write_image, write_mask
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        write_image(tmp_path, f"set/nut/train/good/{i}.png")
    write_image(tmp_path, "set/nut/test/good/0.png")
    write_image(tmp_path, "set/nut/test/dent/0.png")
    write_mask(tmp_path, "set/nut/ground_truth/dent/0.png")
    return tmp_path / "set"


def verify(root, *arguments):
    return run("datasets", "verify", "--data", root, *arguments)


def test_the_whole_account_is_printed(root):
    for i in range(25):
        (root / f"nut/train/good/{i:02}.dng").touch()
    (root / "LICENSE").touch()
    (root / "nut/test/good/1.png").symlink_to("gone.png")
    result = verify(root)
    assert result.exit_code == 0, result.stderr
    assert "has MVTec AD's layout." in result.stdout
    assert "nut: 2 to train on, 1 normal and 1 anomalous to test on, 1 mask" in (
        result.stdout
    )
    assert (
        "32 files: 2 train normal, 1 test normal, 1 test anomalous, 1 mask, 0 table, "
        "27 left out"
    ) in result.stdout
    assert (
        "Left out, 25 files of unknown kind: nut/train/good/00.dng, " in result.stdout
    )
    assert "nut/train/good/19.dng and 5 more\n" in result.stdout
    assert "Left out, 1 broken link: nut/test/good/1.png\n" in result.stdout
    assert "Left out, 1 text or list for people: LICENSE\n" in result.stdout
    assert "No problems." in result.stdout

    facts = json.loads(verify(root, "--json").stdout)
    assert facts["files"] == 32 == sum(facts["account"].values())
    assert facts["account"]["left out"] == 27
    assert sum(map(len, facts["left_out"].values())) == 27
    assert len(facts["left_out"]["files of unknown kind"]) == 25
    assert facts["categories"]["nut"]["mask"] == 1
    assert facts["problems"] == facts["warnings"] == []


def test_the_procedural_set_has_no_problems(tmp_path):
    write_procedural_dataset(
        tmp_path / "painted", image_size=64, train_per_category=1, test_normal=1
    )
    result = verify(tmp_path / "painted")
    assert result.exit_code == 0, result.stderr
    assert ", 0 left out\nNo problems." in result.stdout
    assert result.stderr == ""


def test_a_split_without_images_is_a_problem(root):
    for path in (root / "nut/train/good").iterdir():
        path.unlink()
    result = verify(root)
    assert result.exit_code == 1
    assert "Problem: There are no images in '" in result.stderr


def test_anomalous_test_images_without_normal_ones_are_a_problem(root):
    (root / "nut/test/good/0.png").unlink()
    result = verify(root)
    assert result.exit_code == 1
    message = "Problem: nut: there are 1 anomalous test images and no normal ones"
    assert message in result.stderr


def test_labels_that_would_be_a_guess_stop_everything(root):
    write_image(root, "nut/test/good_2/0.png")
    write_image(root, "nut/train/ok-new/0.png")
    assert verify(root).stderr.count("Problem: By its name") == 2
    for command, name in (("train", "train/ok-new"), ("evaluate", "test/good_2")):
        result = run(command, "--data", root)
        assert result.exit_code == 2
        assert f"{name}' has normal images, but that would be a guess" in result.stderr
        assert "Traceback" not in result.output
    assert not (root.parent / "runs").exists()


def test_train_and_evaluate_print_one_line_of_what_is_left_out(root):
    (root / "nut/train/good/a.dng").touch()
    (root / "nut/test/dent/broken.png").symlink_to("gone.png")
    line = (
        f"Warning: Left out of '{root}': 1 file of unknown kind (.dng: "
        "nut/train/good/a.dng); 1 broken link (nut/test/dent/broken.png). "
        f"`keras-rlr datasets verify --data '{root}'` names all.\n"
    )
    for i in range(2):
        (root / f"nut/train/good/{i}.png").write_bytes(b"damaged")
    # Both then stop: there is no model, and the images can't be read.
    for arguments in (
        ("evaluate", "--data", root),
        ("train", "--data", root),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.count("Left out of") == 1
        assert line in result.stderr
        assert result.stdout == ""
