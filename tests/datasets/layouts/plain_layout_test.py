import pytest

from keras_rlr.datasets import FolderDataset
from tests.datasets.layouts.write_files import write_image, write_mask

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "screws"
    for i in range(11):
        write_image(folder, f"normal/{i:02}.png")
    write_image(folder, "anomalous/scratch/a.png")
    write_image(folder, "anomalous/scratch/b.jpg")
    write_image(folder, "anomalous/c.png")
    return folder


def names(dataset):
    return [sample.path for sample in dataset.samples]


def test_every_fifth_normal_image_is_for_testing(folder):
    train, test = FolderDataset(folder), FolderDataset(folder, "test")
    assert train.layout == "plain folders"
    held = ["normal/04.png", "normal/09.png"]
    assert names(train) == [
        f"normal/{i:02}.png" for i in range(11) if f"normal/{i:02}.png" not in held
    ]
    assert names(test) == [
        "anomalous/c.png",
        "anomalous/scratch/a.png",
        "anomalous/scratch/b.jpg",
        *held,
    ]
    kinds = [(s.defect_type, s.label) for s in test.samples]
    assert kinds == [("anomalous", 1), *[("scratch", 1)] * 2, *[("good", 0)] * 2]
    assert {s.category for s in test.samples} == {"screws"}
    assert not test.has_masks
    assert "mask" not in test[0]


def test_normal_images_for_testing_may_have_a_folder(folder):
    write_image(folder, "normal_test/x.png")
    assert len(FolderDataset(folder)) == 11
    assert names(FolderDataset(folder, "test"))[-1] == "normal_test/x.png"


def test_masks_lie_in_the_same_folders(folder):
    write_mask(folder, "masks/scratch/a_mask.png")
    write_mask(folder, "masks/scratch/b.png", value=255)
    write_mask(folder, "masks/c.bmp")
    test = FolderDataset(folder, "test")
    assert test.has_masks
    assert [element["mask"].sum() for element in test] == [6, 6, 6, 0, 0]


def test_several_categories(folder):
    write_image(folder.parent, "nuts/normal/a.png")
    dataset = FolderDataset(folder.parent)
    assert dataset.categories == ("nuts", "screws")
    assert names(dataset)[0] == "nuts/normal/a.png"
    assert FolderDataset(folder.parent, "test", ["screws"]).categories == ("screws",)
    with pytest.raises(ValueError, match=r"no images in '.*nuts/normal_test or anom"):
        FolderDataset(folder.parent, "test")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("masks/scratch/b.png", "image '.*c.png' has no mask. Expected '.*c_mask.png'"),
        ("masks/d.png", "mask '.*d.png' belongs to no image"),
        ("masks/c.jpg", "mask '.*c.jpg' is in a format that changes pixels"),
    ],
)
def test_images_and_masks_that_do_not_match(folder, mask, message):
    if "d.png" in mask or "jpg" in mask:
        write_mask(folder, "masks/scratch/a.png")
        write_mask(folder, "masks/scratch/b.png")
    if "d.png" in mask:
        write_mask(folder, "masks/c.png")
    write_mask(folder, mask)
    with pytest.raises(ValueError, match=message):
        FolderDataset(folder, "test")
    assert len(FolderDataset(folder)) == 9
