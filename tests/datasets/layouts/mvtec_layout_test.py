"""MVTec AD's layout and its relatives, with the faults that users' folders have."""

import warnings

import numpy as np
import pytest
from PIL import Image

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.verify_dataset import verify_dataset
from tests.datasets.layouts.write_files import write_image, write_mask

pytestmark = [
    pytest.mark.backend_independent,
    # That these are given is tested where it matters.
    pytest.mark.filterwarnings("ignore:Left out of"),
]


@pytest.fixture
def root(tmp_path):
    """A category without faults, without masks."""
    for name in ("train/good/0", "train/good/1", "test/good/0", "test/dent/0"):
        write_image(tmp_path / "set", f"nut/{name}.png")
    return tmp_path / "set"


def rows(root, split="test"):
    return [
        (sample.path, sample.label, sample.defect_type)
        for sample in FolderDataset(root, split).samples
    ]


def refusal(root, split="test"):
    with pytest.raises(ValueError) as error:
        FolderDataset(root, split)
    assert str(error.value) in verify_dataset(root).problems
    return str(error.value)


@pytest.mark.parametrize("name", ["ok", "OK", "Good", "NORMAL"])
def test_known_names_of_normal_images_are_understood(root, name):
    write_image(root, f"nut/test/{name}/7.png")
    write_image(root, f"nut/train/{name}/7.png")
    assert (f"nut/test/{name}/7.png", 0, "good") in rows(root)
    assert (f"nut/train/{name}/7.png", 0, "good") in rows(root, "train")
    assert len(rows(root)) == 3 and len(rows(root, "train")) == 3
    assert not verify_dataset(root).problems


@pytest.mark.parametrize(
    ("name", "what"),
    [
        *[(n, "normal images") for n in ("good_2", "ok-new", "Good images", "goods")],
        *[(n, "normal images") for n in ("defect_free", "no_defect", "normal1", "0")],
        *[(n, "masks") for n in ("masks_2", "dent_mask", "binary_masks")],
        *[(n, "images of any kind") for n in ("rgb", "images")],
    ],
)
def test_what_is_probably_no_defect_is_refused_with_the_way_out(root, name, what):
    write_image(root, f"nut/test/{name}/7.png")
    message = refusal(root)
    assert f"test/{name}' has {what}" in message
    assert "to 'good' if its images are normal" in message
    # Nothing that is trained on is a guess.
    dataset = FolderDataset(root)
    assert len(dataset) == 2
    assert f"(nut/test/{name}/7.png)" in dataset.account.left_out_summary()


@pytest.mark.parametrize("name", ["good_2", "ok-new"])
def test_training_images_are_no_guess_either(root, name):
    write_image(root, f"nut/train/{name}/7.png")
    assert f"train/{name}' has normal images" in refusal(root, "train")
    assert len(rows(root)) == 2


@pytest.mark.parametrize("name", ["bad", "not_ok", "ko", "good_bottle_broken"])
def test_names_of_defects_are_no_normal_images(root, name):
    write_image(root, f"nut/test/{name}/7.png")
    assert (f"nut/test/{name}/7.png", 1, name) in rows(root)
    assert not verify_dataset(root).problems


def test_other_folders_of_train_are_announced(root):
    write_image(root, "nut/train/bad/7.png")
    dataset = FolderDataset(root)
    assert len(dataset) == 2
    assert (
        "1 image to train on that is not normal (nut/train/bad/7.png)"
        in dataset.account.left_out_summary()
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_images_directly_in_a_split_are_announced(root, split):
    write_image(root, f"nut/{split}/7.png")
    dataset = FolderDataset(root, split)
    assert len(dataset) == 2
    line = dataset.account.left_out_summary()
    assert "1 image directly in train or test" in line
    assert f"(nut/{split}/7.png)" in line


def test_if_all_training_images_lie_there_the_refusal_says_so(root):
    for i in "01":
        (root / f"nut/train/good/{i}.png").rename(root / f"nut/train/{i}.png")
    message = refusal(root, "train")
    assert "no images in" in message
    assert "2 images directly in train or test" in message


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("test/dent/good/7", "test/dent/good' lies in a folder of anomalous images"),
        ("test/good/bad/7", "test/good/bad' lies in a folder of normal images"),
        ("test/good/masks_2/7", "by its name it has masks"),
    ],
)
def test_folders_in_folders_do_not_contradict(root, place, message):
    write_image(root, f"nut/{place}.png")
    assert message in refusal(root)


@pytest.mark.parametrize("ending", ["_mask", "_label", "_GT", "_gt", "_Mask"])
def test_masks_beside_images_are_masks(root, ending):
    write_mask(root, f"nut/train/good/0{ending}.png", value=0)
    write_mask(root, f"nut/test/good/0{ending}.png", value=0)
    write_mask(root, f"nut/test/dent/0{ending}.bmp")
    assert len(rows(root, "train")) == 2
    assert len(FolderDataset(root)[0]) == 5
    test = FolderDataset(root, "test")
    assert test.has_masks
    assert [element["mask"].sum() for element in test] == [6, 0]
    assert test.account.counts["mask"] == 3
    assert not verify_dataset(root).problems


def test_one_image_with_a_mask_beside_it_and_one_without(root):
    write_image(root, "nut/test/dent/1.png")
    write_mask(root, "nut/test/dent/0_mask.png")
    assert "dent/1.png' has no mask, but others" in refusal(root)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_file_that_may_be_a_mask_or_an_image(root, split):
    write_image(root, f"nut/{split}/good/9_mask.png")
    assert "9_mask.png' may be a mask by its name" in refusal(root, split)


def test_masks_beside_images_and_in_a_folder(root):
    write_mask(root, "nut/test/dent/0_mask.png", value=0)
    write_mask(root, "nut/ground_truth/dent/0_mask.png")
    test = FolderDataset(root, "test")
    assert test[0]["mask"].sum() == 6
    assert "1 mask beside its image" in test.account.left_out_summary()


@pytest.mark.parametrize("split", ["train", "test"])
def test_masks_of_normal_images_are_black(root, split):
    write_mask(root, f"nut/{split}/good/0_mask.png")
    dataset = FolderDataset(root, split)
    position = [s.path for s in dataset.samples].index(f"nut/{split}/good/0.png")
    message = "called normal by its place, but its mask .*0_mask.png' has anomalous"
    with pytest.raises(ValueError, match=message):
        dataset[position]
    (problem,) = verify_dataset(root).problems
    assert "called normal by its place" in problem


@pytest.mark.parametrize("name", ["good", "OK"])
def test_black_masks_of_normal_images_are_accepted(root, name):
    write_mask(root, "nut/ground_truth/dent/0.png")
    write_mask(root, f"nut/ground_truth/{name}/0.png", value=0)
    assert [e["mask"].sum() for e in FolderDataset(root, "test")] == [6, 0]
    assert not verify_dataset(root).problems
    write_mask(root, f"nut/ground_truth/{name}/0.png")
    assert "by its place" in verify_dataset(root).problems[0]


@pytest.mark.parametrize("name", ["masks", "GT", "labels", "Ground_Truth"])
@pytest.mark.parametrize("where", ["nut", "nut/test"])
def test_folders_of_masks_by_other_names(root, name, where):
    write_mask(root, f"{where}/{name}/dent/0.png")
    assert [e["mask"].sum() for e in FolderDataset(root, "test")] == [6, 0]


def test_folders_of_masks_that_are_not_clear(root):
    write_mask(root, "nut/test/mask/0.png")
    assert "test/mask' has masks" in refusal(root)
    write_mask(root, "nut/masks/dent/0.png")
    assert "Keep one of them, as" in refusal(root)
    write_mask(root, "nut/ground_truth/dent/0.png")
    test = FolderDataset(root, "test")
    assert test.has_masks
    assert "2 masks beside their images" in test.account.left_out_summary()


def test_rgb_beside_gt(root):
    write_image(root, "nut/test/rgb/0.png")
    write_mask(root, "nut/test/gt/0.png")
    assert "test/rgb' has images of any kind" in refusal(root)


def test_btad(tmp_path):
    for i in range(2):
        write_image(tmp_path, f"01/train/ok/{i}.bmp")
        write_image(tmp_path, f"01/test/ok/{i}.bmp")
        write_image(tmp_path, f"01/test/ko/{i}.bmp")
    write_mask(tmp_path, "01/ground_truth/ko/0.png", value=255)
    write_mask(tmp_path, "01/ground_truth/ko/1.bmp", value=255)
    assert len(rows(tmp_path, "train")) == 2
    test = FolderDataset(tmp_path, "test")
    kinds = [(s.label, s.defect_type) for s in test.samples]
    assert kinds == [(1, "ko")] * 2 + [(0, "good")] * 2
    assert [element["mask"].sum() for element in test] == [6, 6, 0, 0]
    assert not verify_dataset(tmp_path).problems


def test_mvtec_loco(tmp_path):
    write_image(tmp_path, "box/train/good/000.png")
    write_image(tmp_path, "box/validation/good/000.png")
    write_image(tmp_path, "box/test/good/000.png")
    corner, other = np.zeros((6, 8), "uint8"), np.zeros((6, 8), "uint8")
    corner[:2, :3], other[1:3, 2:5] = 255, 200
    for kind in ("logical_anomalies", "structural_anomalies"):
        write_image(tmp_path, f"box/test/{kind}/000.png")
        write_image(tmp_path, f"box/test/{kind}/001.png")
        for name, mask in (("000/000", corner), ("000/001", other), ("001/000", other)):
            path = tmp_path / f"box/ground_truth/{kind}/{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)
    (tmp_path / "box/defects_config.json").write_text("[]")
    test = FolderDataset(tmp_path, "test")
    masks = [element["mask"] for element in test]
    for first in (1, 3):
        np.testing.assert_array_equal(masks[first], (corner | other) > 0)
        np.testing.assert_array_equal(masks[first + 1], other > 0)
    assert not masks[0].any()
    assert len(test.samples[1].masks) == 2
    assert test.account.counts["mask"] == 6
    assert "1 image for validation" in test.account.left_out_summary()
    before = test.fingerprint()
    test.samples[1].masks[1].write_bytes(b"another")
    assert test.fingerprint() != before


def test_mvtec_ad_2(tmp_path):
    for place in ("train/good", "validation/good", "test_public/good"):
        write_image(tmp_path, f"can/{place}/000_regular.png")
    write_image(tmp_path, "can/test_public/bad/000_regular.png")
    write_mask(tmp_path, "can/test_public/ground_truth/bad/000_regular_mask.png")
    for place in ("test_private", "test_private_mixed"):
        write_image(tmp_path, f"can/{place}/000_regular.png")
    assert len(rows(tmp_path, "train")) == 1
    test = FolderDataset(tmp_path, "test")
    assert [(s.label, s.defect_type) for s in test.samples] == [(1, "bad"), (0, "good")]
    assert [element["mask"].sum() for element in test] == [6, 0]
    line = test.account.left_out_summary()
    assert "2 test images without labels" in line and "1 image for validation" in line
    assert not verify_dataset(tmp_path).problems


def test_mvtec_3d(tmp_path):
    for place in ("train/good", "validation/good", "test/good", "test/hole"):
        write_image(tmp_path, f"bagel/{place}/rgb/000.png")
        depth = tmp_path / f"bagel/{place}/xyz/000.tiff"
        depth.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((6, 8), "float32")).save(depth)
    write_mask(tmp_path, "bagel/test/good/gt/000.png", value=0)
    write_mask(tmp_path, "bagel/test/hole/gt/000.png", value=255)
    assert rows(tmp_path, "train") == [("bagel/train/good/rgb/000.png", 0, "good")]
    test = FolderDataset(tmp_path, "test")
    assert [(s.path, s.defect_type) for s in test.samples] == [
        ("bagel/test/good/rgb/000.png", "good"),
        ("bagel/test/hole/rgb/000.png", "hole"),
    ]
    assert [element["mask"].sum() for element in test] == [0, 6]
    assert "3 depth maps" in test.account.left_out_summary()
    assert not verify_dataset(tmp_path).problems


def test_a_test_folder_that_is_a_link_to_what_is_trained_on(root):
    (root / "nut/test/good/0.png").unlink()
    (root / "nut/test/good").rmdir()
    (root / "nut/test/good").symlink_to(root / "nut/train/good")
    problems = verify_dataset(root).problems
    assert any("anomalous test images and no normal ones" in p for p in problems)
    with pytest.warns(UserWarning, match="1 link to a folder that is read already"):
        assert len(FolderDataset(root, "test")) == 1


def test_test_images_that_are_links_to_what_is_trained_on(root):
    (root / "nut/test/good/7.png").symlink_to(root / "nut/train/good/1.png")
    message = refusal(root)
    assert "test/good/7.png' is the same file as" in message
    assert "train/good/1.png'" in message
    assert len(FolderDataset(root)) == 2


def test_categories_may_share_their_test_folders(root):
    write_image(root, "few/train/good/0.png")
    (root / "few/test").symlink_to(root / "nut/test")
    assert len(FolderDataset(root, "test", ["few"])) == 2
    assert len(FolderDataset(root, "test", ["nut"])) == 2


def test_a_clean_folder_gives_no_line(root):
    (root / "LICENSE").touch()
    (root / "readme.txt").touch()
    (root / ".DS_Store").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        account = FolderDataset(root).account
    assert account.left_out_summary() == ""
    assert account.counts["left out"] == 3 and account.files == 7


def test_two_layouts_in_one_category(root):
    write_image(root, "nut/normal/a.png")
    with pytest.warns(UserWarning, match=r"plain folders \(nut\), which is left out"):
        assert len(FolderDataset(root)) == 2


def test_folders_called_normal_are_no_second_layout(root, recwarn):
    (root / "nut/train/good").rename(root / "nut/train/normal")
    (root / "nut/test/good").rename(root / "nut/test/normal")
    for place in (root, root / "nut"):
        assert len(FolderDataset(place)) == 2
    assert not recwarn.list
