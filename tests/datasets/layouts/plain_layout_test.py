import pytest

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.verify_dataset import verify_dataset
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


def left_out(folder):
    return FolderDataset(folder).account.left_out_summary()


@pytest.mark.filterwarnings("ignore:Left out of")
@pytest.mark.parametrize(
    ("name", "splits", "message"),
    [
        ("normal_2", ("train", "test"), "normal_2' has normal images"),
        ("good", ("train", "test"), "good' has normal images"),
        ("Normal", ("train", "test"), "Normal' has normal images"),
        ("bad", ("test",), "bad' has anomalous images"),
        ("defects", ("test",), "defects' has anomalous images"),
        ("binary_masks", ("test",), "binary_masks' has masks"),
    ],
)
def test_folders_of_the_layout_by_another_name_are_refused(
    folder, name, splits, message
):
    write_image(folder, f"{name}/x.png")
    for split in ("train", "test"):
        if split in splits:
            with pytest.raises(ValueError, match=message):
                FolderDataset(folder, split)
        else:
            assert FolderDataset(folder, split).account.counts["left out"] == 1
    assert any(message in p for p in verify_dataset(folder).problems)


@pytest.mark.filterwarnings("ignore:Left out of")
@pytest.mark.parametrize("name", ["anomalous/good", "anomalous/OK", "normal/bad"])
def test_folders_in_folders_do_not_contradict(folder, name):
    write_image(folder, f"{name}/x.png")
    with pytest.raises(ValueError, match=f"{name}' lies in a folder of"):
        FolderDataset(folder, "test")


@pytest.mark.parametrize("name", ["Masks", "mask", "ground_truth", "GT"])
def test_masks_by_another_name(folder, name):
    for mask in ("scratch/a", "scratch/b_mask", "c_label"):
        write_mask(folder, f"{name}/{mask}.png")
    assert FolderDataset(folder, "test").has_masks


def test_masks_beside_images_and_of_normal_images(folder):
    for image in ("anomalous/scratch/a", "anomalous/scratch/b", "anomalous/c"):
        write_mask(folder, f"{image}_mask.png")
    for i in (0, 4):
        write_mask(folder, f"normal/{i:02}_mask.png", value=0)
    test = FolderDataset(folder, "test")
    assert [element["mask"].sum() for element in test] == [6, 6, 6, 0, 0]
    assert len(FolderDataset(folder)) == 9
    assert test.account.counts["mask"] == 5
    assert not verify_dataset(folder).problems
    write_mask(folder, "normal/04_mask.png")
    with pytest.raises(ValueError, match="called normal by its place, but its mask"):
        FolderDataset(folder, "test")[3]


def test_black_masks_of_normal_images_in_the_folder_of_masks(folder):
    for mask in ("scratch/a", "scratch/b", "c"):
        write_mask(folder, f"masks/{mask}.png")
    write_mask(folder, "masks/normal/04.png", value=0)
    write_mask(folder, "masks/09_mask.png", value=0)
    test = FolderDataset(folder, "test")
    assert [element["mask"].sum() for element in test] == [6, 6, 6, 0, 0]
    assert test.account.counts["mask"] == 5


@pytest.mark.filterwarnings("ignore:Left out of")
def test_other_folders_are_announced(folder):
    write_image(folder, "unsorted/x.png")
    write_image(folder, "y.png")
    assert "2 images in no folders of the layout (unsorted/x.png, y.png)" in left_out(
        folder
    )


def test_names_in_any_case(tmp_path):
    write_image(tmp_path, "normal/a.png")
    write_image(tmp_path, "Normal_Test/b.png")
    write_image(tmp_path, "ANOMALOUS/scratch/c.png")
    assert names(FolderDataset(tmp_path)) == ["normal/a.png"]
    rows = [(s.defect_type, s.label) for s in FolderDataset(tmp_path, "test").samples]
    assert rows == [("scratch", 1), ("good", 0)]


@pytest.mark.filterwarnings("ignore:Left out of")
def test_two_layouts_in_one_tree(tmp_path):
    write_image(tmp_path, "nut/train/good/a.png")
    write_image(tmp_path, "screw/normal/a.png")
    message = r"two layouts: MVTec AD's .*, which is used, .* plain folders \(screw\)"
    with pytest.warns(UserWarning, match=message):
        dataset = FolderDataset(tmp_path)
    assert dataset.categories == ("nut",)
    assert "screw/normal/a.png" in dataset.account.left_out_summary()
