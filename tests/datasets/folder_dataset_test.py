import dataclasses
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from keras_rlr.datasets import FolderDataset, Sample

pytestmark = pytest.mark.backend_independent


def write(root, name, pixels=None):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = np.full((6, 8, 3), len(name), "uint8")
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    """Two categories; the second has no masks."""
    root = tmp_path / "products"
    mask = np.zeros((6, 8), "uint8")
    mask[2:4, 1:3] = 1
    for name in ("000", "001", "002"):
        write(root, f"bottle/train/good/{name}.png")
    write(root, "bottle/test/good/000.png")
    write(root, "bottle/test/broken/000.png")
    write(root, "bottle/test/broken/001.jpg")
    write(root, "bottle/test/stain/000.png")
    write(root, "bottle/ground_truth/broken/000_mask.png", mask)
    write(root, "bottle/ground_truth/broken/001.png", mask * 255)
    write(root, "bottle/ground_truth/stain/000_mask.png", np.full((6, 8), 255, "uint8"))
    write(root, "cable/train/good/a.png", np.zeros((5, 4), "uint8"))
    write(root, "cable/test/good/a.png", np.zeros((5, 4), "uint16"))
    write(root, "cable/test/cut/b.png", np.zeros((5, 4, 4), "uint8"))
    (root / "readme.txt").write_text("licence")
    return root


def test_train_elements(root):
    dataset = FolderDataset(root)
    assert len(dataset) == 4
    assert dataset.categories == ("bottle", "cable")
    assert not dataset.has_masks
    elements = list(dataset)
    assert [element["path"] for element in elements] == [
        "bottle/train/good/000.png",
        "bottle/train/good/001.png",
        "bottle/train/good/002.png",
        "cable/train/good/a.png",
    ]
    for element in elements:
        assert element["label"] == 0
        assert element["defect_type"] == "good"
        assert "mask" not in element
    assert elements[0]["image"].shape == (6, 8, 3)
    assert elements[3]["image"].shape == (5, 4, 1)


def test_test_elements(root):
    dataset = FolderDataset(root, split="test")
    rows = [
        (sample.category, sample.defect_type, sample.label, sample.path)
        for sample in dataset.samples
    ]
    assert rows == [
        ("bottle", "broken", 1, "bottle/test/broken/000.png"),
        ("bottle", "broken", 1, "bottle/test/broken/001.jpg"),
        ("bottle", "good", 0, "bottle/test/good/000.png"),
        ("bottle", "stain", 1, "bottle/test/stain/000.png"),
        ("cable", "cut", 1, "cable/test/cut/b.png"),
        ("cable", "good", 0, "cable/test/good/a.png"),
    ]
    square = np.zeros((6, 8), "uint8")
    square[2:4, 1:3] = 1
    expected = [square, square, np.zeros((6, 8)), np.ones((6, 8))]
    for i, mask in enumerate(expected):
        assert dataset[i]["mask"].dtype == np.uint8
        np.testing.assert_array_equal(dataset[i]["mask"], mask)
    assert "mask" not in dataset[4] and "mask" not in dataset[5]
    assert dataset[5]["image"].dtype == np.uint16
    assert dataset[4]["image"].shape == (5, 4, 4)
    assert not dataset.has_masks
    assert FolderDataset(root, "test", ["bottle"]).has_masks


def test_sample(root):
    sample = FolderDataset(root, "test").samples[0]
    assert sample == Sample(
        image=root / "bottle/test/broken/000.png",
        label=1,
        mask=root / "bottle/ground_truth/broken/000_mask.png",
        category="bottle",
        defect_type="broken",
        path="bottle/test/broken/000.png",
    )


def test_folder_of_one_category(root, monkeypatch):
    dataset = FolderDataset(root / "bottle")
    assert dataset.categories == ("bottle",)
    assert dataset[0]["path"] == "train/good/000.png"
    monkeypatch.chdir(root / "cable")
    assert FolderDataset(".", "test").categories == ("cable",)


def test_categories_are_chosen(root):
    assert FolderDataset(root, categories=["cable"]).categories == ("cable",)
    assert FolderDataset(root, categories="cable").categories == ("cable",)
    both = FolderDataset(root, categories=iter(["cable", "bottle"]))
    assert both.samples == FolderDataset(root).samples


def test_positions(root):
    dataset = FolderDataset(root)
    assert dataset[-1]["path"] == "cable/train/good/a.png"
    assert dataset[np.int64(1)]["path"] == "bottle/train/good/001.png"
    with pytest.raises(IndexError):
        dataset[4]


def test_subset(root):
    dataset = FolderDataset(root, "test")
    subset = dataset.subset(np.array([3, 0]))
    assert len(subset) == 2 and len(dataset) == 6
    assert subset.categories == ("bottle",)
    assert subset.has_masks
    assert subset[0]["path"] == "bottle/test/stain/000.png"
    assert subset[0]["mask"].all()
    empty = dataset.subset([])
    assert len(empty) == 0 and empty.categories == () and not empty.has_masks
    with pytest.raises(IndexError):
        dataset.subset([6])


def test_fingerprint_follows_paths_sizes_and_times(root):
    def fingerprint(split="train"):
        return FolderDataset(root, split).fingerprint()

    first = fingerprint()
    assert len(first) == 64 and int(first, 16) >= 0
    assert fingerprint() == first
    assert fingerprint("test") != first
    assert FolderDataset(root).subset([1, 0, 2, 3]).fingerprint() != first
    path = root / "bottle/train/good/001.png"
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert fingerprint() != first
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint() == first
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint() != first
    path.rename(path.with_name("009.png"))
    assert fingerprint() != first


def test_worker_processes_get_it(root):
    dataset = pickle.loads(pickle.dumps(FolderDataset(root, "test")))
    np.testing.assert_array_equal(dataset[3]["mask"], np.ones((6, 8)))


def test_hidden_files_and_link_loops_do_no_harm(root):
    (root / ".git" / "train" / "good").mkdir(parents=True)
    (root / "bottle" / "train" / "good" / "._000.png").write_bytes(b"resource fork")
    (root / "bottle" / "test" / ".ipynb_checkpoints").mkdir()
    os.symlink(root, root / "bottle" / "train" / "good" / "loop")
    (root / "bottle" / "test" / "stain" / "loop").symlink_to("..")
    (root / "elsewhere").symlink_to(root / "gone")
    assert FolderDataset(root).categories == ("bottle", "cable")
    assert len(FolderDataset(root)) == 4
    assert len(FolderDataset(root, "test")) == 6


def test_names_with_dots(root):
    write(root, "bottle/test/stain/a.b.png")
    write(root, "bottle/test/stain/a.c.png")
    for name, level in (("a.b", 0), ("a.c", 9)):
        mask = np.full((6, 8), level, "uint8")
        write(root, f"bottle/ground_truth/stain/{name}_mask.png", mask)
    dataset = FolderDataset(root, "test", ["bottle"])
    masks = {element["path"][-7:-4]: element["mask"].any() for element in dataset}
    assert not masks["a.b"] and masks["a.c"]


def test_any_colour_of_a_mask_counts_and_alpha_does_not(root):
    mask = np.zeros((6, 8, 4), "uint8")
    mask[..., 3] = 255
    mask[1, 2, 1] = 1
    write(root, "bottle/ground_truth/stain/000_mask.png", mask)
    np.testing.assert_array_equal(
        np.argwhere(FolderDataset(root, "test")[3]["mask"]), [[1, 2]]
    )


def test_no_such_folder(root):
    with pytest.raises(FileNotFoundError, match="no folder '.*gone'"):
        FolderDataset(root / "gone")
    with pytest.raises(NotADirectoryError, match=r"readme.txt' is a file"):
        FolderDataset(root / "readme.txt")


def test_no_data_set(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)is no data set.*empty.*train/good/"):
        FolderDataset(tmp_path)
    for i in range(7):
        (tmp_path / f"photo_{i}.png").touch()
    with pytest.raises(ValueError, match=r"(?s)'photo_4.png' and 2 more.*MVTec AD"):
        FolderDataset(tmp_path)


def test_unknown_split(root):
    with pytest.raises(ValueError, match="'train' or 'test', but it is 'valid'"):
        FolderDataset(root, "valid")


def test_unknown_category(root):
    message = "no category 'screw'. Choose from: bottle, cable"
    with pytest.raises(ValueError, match=message):
        FolderDataset(root, categories=["bottle", "screw"])
    with pytest.raises(ValueError, match=r"was given none. Choose from"):
        FolderDataset(root, categories=[])


@pytest.mark.parametrize("remove_folder", [True, False])
def test_no_training_images(root, remove_folder):
    good = root / "cable/train/good"
    (good / "a.png").rename(root / "cable/train/a.png")
    if remove_folder:
        good.rmdir()
    with pytest.raises(ValueError, match=r"no images in '.*cable/train/good'.*'cable'"):
        FolderDataset(root)


def test_missing_split(root):
    (root / "cable" / "test").rename(root / "cable" / "validation")
    with pytest.raises(ValueError, match=r"'cable' has no folder '.*cable/test'"):
        FolderDataset(root, "test")
    assert len(FolderDataset(root)) == 4


@pytest.mark.parametrize("whole_folder", [True, False])
def test_missing_mask(root, whole_folder):
    folder = root / "bottle/ground_truth/stain"
    (folder / "000_mask.png").unlink()
    if whole_folder:
        folder.rmdir()
    message = r"stain/000.png' has no mask. Expected '.*stain/000_mask.png' or"
    with pytest.raises(ValueError, match=message):
        FolderDataset(root, "test")


def test_damaged_image_is_named(root):
    (root / "bottle/train/good/001.png").write_bytes(b"nonsense")
    dataset = FolderDataset(root)
    with pytest.raises(ValueError, match=r"001.png' can't be read"):
        dataset[1]


def test_a_mask_without_an_image_is_named(root):
    write(root, "bottle/ground_truth/stain/007_mask.png", np.ones((6, 8), "uint8"))
    with pytest.raises(ValueError, match=r"mask '.*007_mask.png' belongs to no image"):
        FolderDataset(root, "test")


def test_masks_of_a_defect_without_images_are_named(root):
    write(root, "bottle/ground_truth/dent/000_mask.png", np.ones((6, 8), "uint8"))
    with pytest.raises(ValueError, match=r"'.*ground_truth/dent' belong to no images"):
        FolderDataset(root, "test")


def test_masks_with_losses_are_refused(root):
    (root / "bottle/ground_truth/stain/000_mask.png").unlink()
    write(root, "bottle/ground_truth/stain/000_mask.jpg", np.ones((6, 8), "uint8"))
    with pytest.raises(ValueError, match=r"000_mask.jpg' is in a format that changes"):
        FolderDataset(root, "test")


def test_keys_of_images_follow_paths_labels_and_contents(root):
    data = FolderDataset(root)
    first = data.image_keys()
    assert FolderDataset(root).image_keys() == first
    assert data.subset([1, 0]).image_keys() == [first[1], first[0]]
    assert len(set(first)) == len(data)
    file = data.samples[0].image
    content, times = bytearray(file.read_bytes()), file.stat()
    for position in (40, len(content) - 1):
        # Another product of the same archive, put where the first one was.
        changed = content.copy()
        changed[position] ^= 1
        file.write_bytes(changed)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        found = FolderDataset(root).image_keys()
        assert found[0] != first[0] and found[1:] == first[1:]
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert FolderDataset(root).image_keys() == first
    labelled = FolderDataset(root)
    anomalous = dataclasses.replace(labelled.samples[0], label=1)
    labelled._samples = (anomalous, *labelled.samples[1:])
    assert labelled.image_keys()[0] != first[0]
