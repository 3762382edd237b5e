import _thread
import hashlib
import sys
import time

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from keras_rlr.datasets import (
    PROCEDURAL_CATEGORIES,
    FolderDataset,
    write_procedural_dataset,
)
from keras_rlr.datasets.procedural import write_procedural_dataset as module
from tests.fresh_process import run_fresh

pytestmark = pytest.mark.backend_independent

SMALL = {"image_size": 64, "train_per_category": 2, "test_normal": 1}


def contents(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("procedural") / "data"
    return write_procedural_dataset(path, seed=5, test_anomalous=5, **SMALL)


def test_layout(small):
    train, test = FolderDataset(small), FolderDataset(small, "test")
    assert train.categories == test.categories == PROCEDURAL_CATEGORIES
    assert len(train) == 6 * 2 and len(test) == 6 * (1 + 5)
    assert test.has_masks
    assert train[0]["image"].shape == (64, 64, 3)
    names = [sample.path for sample in test.samples if sample.category == "wood"]
    assert names == [
        "wood/test/contamination/000.png",
        "wood/test/contamination/001.png",
        "wood/test/good/000.png",
        "wood/test/hole/000.png",
        "wood/test/scratch/000.png",
        "wood/test/stain/000.png",
    ]


def test_labels_agree_with_masks(small):
    for element in FolderDataset(small, "test"):
        assert element["label"] == element["mask"].any()
    for path in small.rglob("*_mask.png"):
        with Image.open(path) as mask:
            assert set(np.unique(mask)) == {0, 255}


def test_no_image_twice(small):
    images = [digest for name, digest in contents(small).items() if "_mask" not in name]
    assert len(set(images)) == len(images)


def test_same_bytes_in_a_fresh_process(small, tmp_path):
    code = (
        "import sys; from keras_rlr.datasets import write_procedural_dataset;"
        "write_procedural_dataset(sys.argv[1], seed=5, image_size=(64, 64),"
        " train_per_category=2, test_normal=1, test_anomalous=5)"
    )
    done = run_fresh(code, tmp_path / "again")  # its hashes have a seed of their own
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "again") == contents(small)


def test_numpys_global_state_is_neither_read_nor_changed(small, tmp_path):
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    write_procedural_dataset(tmp_path / "data", seed=5, test_anomalous=5, **SMALL)
    assert np.random.random() == expected
    assert contents(tmp_path / "data") == contents(small)


def test_a_category_does_not_depend_on_the_others(small, tmp_path):
    path = write_procedural_dataset(
        tmp_path / "data", 5, test_anomalous=5, categories=["gear"], **SMALL
    )
    expected = {k: v for k, v in contents(small).items() if k.startswith("gear/")}
    assert contents(path) == expected


def test_seeds_differ(small, tmp_path):
    path = write_procedural_dataset(tmp_path / "data", 6, test_anomalous=5, **SMALL)
    assert not set(contents(path).values()) & set(contents(small).values())


def disk_is_full():
    raise OSError("no space left on device")


@pytest.mark.parametrize(
    ("stop", "error", "message"),
    [
        (disk_is_full, OSError, "no space left"),
        # What Ctrl-C does, wherever the main thread is.
        (_thread.interrupt_main, KeyboardInterrupt, "^$"),
    ],
    ids=["failure", "interruption"],
)
def test_nothing_is_left_after(stop, error, message, tmp_path, monkeypatch):
    calls = []

    def write(path, pixels):
        calls.append(path)
        if len(calls) == 4:
            stop()
        path.write_bytes(b"")

    monkeypatch.setattr(sys.modules[module.__module__], "write_png", write)
    with pytest.raises(error, match=message):
        write_procedural_dataset(tmp_path / "data", **SMALL)
    # The rest was never begun, but for what other threads were at, and none of them
    # writes any more.
    begun = len(calls)
    assert 4 <= begun <= 4 + 2 * 16
    time.sleep(0.2)
    assert len(calls) == begun
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_kept(small, tmp_path):
    before = contents(small)
    with pytest.raises(FileExistsError, match="exists already.*new or empty"):
        write_procedural_dataset(small)
    assert contents(small) == before
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="exists already"):
        write_procedural_dataset(tmp_path / "file")


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    path = write_procedural_dataset(
        tmp_path / "empty", categories="tiles", test_anomalous=0, **SMALL
    )
    assert path == tmp_path / "empty"
    assert len(FolderDataset(path)) == 2
    assert [child.name for child in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must be at least 0, but it is -1"),
        ({"train_per_category": 0}, "train_per_category must be at least 1"),
        ({"test_normal": -1}, "test_normal must be at least 0"),
        ({"image_size": 63}, "at least 64 pixels each way, but it is 63"),
        ({"image_size": (64, 10)}, "at least 64 pixels"),
        ({"categories": ["screw"]}, "no category 'screw'. Choose from: capsule"),
        ({"categories": []}, "given none"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_procedural_dataset(tmp_path / "data", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_distance_to_the_mean_image_says_little(tmp_path, seed):
    """Two scores of a picture: its mean square, and the highest smoothed square.

    At half the usual size, with half the sigma, which is much the same and quicker.
    """
    complete = write_procedural_dataset(tmp_path / "data", seed, image_size=128)
    aurocs = []
    for category in PROCEDURAL_CATEGORIES:
        train = FolderDataset(complete, "train", [category])
        test = FolderDataset(complete, "test", [category])
        assert len(train) == 28 and len(test) == 22
        mean = np.mean([element["image"].astype("float32") for element in train], 0)
        squares = [((e["image"] - mean) ** 2).mean(axis=-1) for e in test]
        labels = [sample.label for sample in test.samples]
        highest = [gaussian_filter(square, 2.0).max() for square in squares]
        averages = [square.mean() for square in squares]
        aurocs.append([roc_auc_score(labels, s) for s in (averages, highest)])
    assert np.mean(aurocs, axis=0).max() <= 0.75
