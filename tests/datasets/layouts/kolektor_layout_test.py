import numpy as np
import pytest
from PIL import Image

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.verify_dataset import verify_dataset
from tests.datasets.layouts.write_files import write_image, write_mask

pytestmark = [
    pytest.mark.backend_independent,
    pytest.mark.filterwarnings("ignore:Left out of"),
]


def write_item(root, item, labels):
    for i, anomalous in enumerate(labels):
        write_image(root, f"{item}/Part{i}.jpg")
        write_mask(root, f"{item}/Part{i}_label.bmp", value=255 * anomalous)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "KolektorSDD"
    for i in range(1, 11):
        write_item(root, f"kos{i:02}", (i == 2, 0, i in (5, 7)))
    return root


def names(dataset):
    return [sample.path for sample in dataset.samples]


def test_a_black_mask_means_normal(root):
    train, test = FolderDataset(root), FolderDataset(root, "test")
    assert train.layout == "KolektorSDD's layout"
    assert train.categories == ("KolektorSDD",)
    anomalous = ["kos02/Part0.jpg", "kos05/Part2.jpg", "kos07/Part2.jpg"]
    assert [s.path for s in test.samples if s.label] == anomalous
    # Every fifth item: no images of one item are in both splits by chance.
    normal = {f"kos{i}/Part{j}.jpg" for i in ("05", "10") for j in range(3)}
    assert {s.path for s in test.samples if not s.label} == normal - set(anomalous)
    assert len(train) == 30 - 3 - 5
    assert not set(names(train)) & set(names(test))
    for element in test:
        assert element["mask"].any() == element["label"]
    assert "mask" not in train[0]
    assert train.account.counts == {
        "train normal": 22,
        "test normal": 5,
        "test anomalous": 3,
        "mask": 30,
        "table": 0,
        "left out": 0,
    }
    assert not verify_dataset(root).problems


def test_few_items_are_split_by_image(tmp_path):
    write_item(tmp_path / "one", ".", [0] * 9 + [1])
    test = FolderDataset(tmp_path / "one", "test")
    assert names(test) == ["Part4.jpg", "Part9.jpg"]
    assert len(FolderDataset(tmp_path / "one")) == 8


def test_kolektor_2_has_its_own_splits(tmp_path):
    for split, count in (("train", 4), ("test", 3)):
        for i in range(count):
            write_image(tmp_path, f"ksdd2/{split}/{i}.png")
            write_mask(tmp_path, f"ksdd2/{split}/{i}_GT.png", value=255 * (i == 2))
    for root in (tmp_path, tmp_path / "ksdd2"):
        train, test = FolderDataset(root), FolderDataset(root, "test")
        assert [name[-5] for name in names(train)] == ["0", "1", "3"]
        assert [s.label for s in test.samples] == [0, 0, 1]
        assert train.categories == ("ksdd2",)
        line = train.account.left_out_summary()
        assert "2 images to train on that are not normal" in line
        assert not verify_dataset(root).problems


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kos03/Part9.jpg", "Part9.jpg' has no mask beside it, as other images have"),
        ("kos03/Part9_label.bmp", "Part9_label.bmp' has no mask beside it"),
    ],
)
def test_what_has_no_mask_is_refused(root, name, message):
    Image.fromarray(np.zeros((6, 8), "uint8")).save(root / name)
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=message):
            FolderDataset(root, split)


def test_a_damaged_mask_and_one_with_losses_are_refused(root):
    (root / "kos03/Part0_label.bmp").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"Part0_label.bmp' can't be read"):
        FolderDataset(root)
    (root / "kos03/Part0_label.bmp").unlink()
    write_mask(root, "kos03/Part0_label.jpg")
    with pytest.raises(ValueError, match=r"Part0_label.jpg' is in a format that"):
        FolderDataset(root)


def test_a_mask_that_is_painted_later_counts(root):
    trained = len(FolderDataset(root))
    write_mask(root, "kos03/Part0_label.bmp", value=7)
    assert len(FolderDataset(root)) == trained - 1


def test_two_masks_of_an_image_are_refused(root):
    """The first was believed, and an image with a defect in the other trained on."""
    second = "kos01/Part1_mask.png"
    write_mask(root, second, value=255)
    with pytest.raises(ValueError, match=rf"{second}' is a second mask of its image"):
        FolderDataset(root)
