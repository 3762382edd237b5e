import json
import os

import pytest

from keras_rlr.datasets import FolderDataset, account_for_images, find_images
from keras_rlr.datasets.layouts import UnknownLayoutError
from keras_rlr.datasets.tree import read_tree

pytestmark = pytest.mark.backend_independent


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder):
    return [path.relative_to(folder).as_posix() for path in find_images(folder)]


@pytest.mark.parametrize(
    "suffix", [".jfif", ".jpe", ".gif", ".JFIF", ".jpeg", ".TIFF", ".webp", ".bmp"]
)
def test_suffixes_of_images(tmp_path, suffix):
    touch(tmp_path, f"a{suffix}")
    assert found(tmp_path) == [f"a{suffix}"]


def test_nothing_is_dropped_without_a_word(tmp_path):
    touch(tmp_path, "1.png", "sub/2.png", "a.dng", "b.DNG", "c.heic", "photo", ".x")
    touch(tmp_path, "@eaDir/1.png/thumb.jpg", "__MACOSX/1.png", ".thumbnails/1.png")
    touch(tmp_path, "Thumbs.db", "sub/thumb_2.png", "sub/2_thumb.jpg", "readme.txt")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty").mkdir()
    account = account_for_images(tmp_path)
    assert found(tmp_path) == ["1.png", "sub/2.png"]
    assert account.images == find_images(tmp_path)
    assert account.left_out.files == 14
    line = account.left_out.summary()
    for part in (
        "3 files of unknown kind (.dng, .heic: a.dng, b.DNG, c.heic)",
        "1 file without a suffix (photo)",
        "1 broken link (broken.png)",
        "1 pipe, socket or device (pipe.png)",
        "6 thumbnails and other files of systems and viewers (.thumbnails/1.png, ",
        " and 3 more)",
        "1 empty folder (empty/)",
    ):
        assert part in line
    assert "readme" not in line and ".x" not in line and "\n" not in line
    everything = account.left_out.as_dict()
    assert everything["hidden files"] == [".x"]
    assert everything["texts and lists for people"] == ["readme.txt"]
    assert sum(map(len, everything.values())) == 15


def test_thumbnails_are_told_by_the_image_beside_them(tmp_path):
    touch(tmp_path, "thumb_1.png", "thumbscrew.png", "2_thumb.png")
    assert len(found(tmp_path)) == 3
    touch(tmp_path, "1.png", "2.png")
    assert found(tmp_path) == ["1.png", "2.png", "thumbscrew.png"]


def test_masks_are_not_scored_as_images(tmp_path):
    touch(tmp_path, "a/1.png", "a/1_mask.png", "a/2.png", "a/2_GT.png", "a/3_label.png")
    touch(
        tmp_path, "ground_truth/dent/1.png", "b/masks/1.png", "b/1.png", "label/1.png"
    )
    assert found(tmp_path) == [
        *("a/1.png", "a/2.png", "a/3_label.png", "b/1.png", "label/1.png")
    ]
    line = account_for_images(tmp_path).left_out.summary()
    assert "4 masks (score a folder of masks by naming it) (a/1_mask.png, " in line
    # Who names a folder of masks wants them.
    assert found(tmp_path / "ground_truth") == ["dent/1.png"]


def record(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".keras_rlr_predict.json").write_text(json.dumps({"files": names}))


@pytest.mark.parametrize("place", ["", "deep/out"])
def test_what_a_prediction_wrote_is_no_image(tmp_path, place):
    output = tmp_path / place
    written = ("scores.csv", "regions.json", "overlays/1.png", "region_masks/a/1.png")
    touch(output, *written, "anomaly_maps/1.npy", "overlays/mine.png")
    record(output, *written, "anomaly_maps/1.npy", "overlays/gone.png", "../1.png")
    touch(tmp_path, "1.png", "deep/2.png")
    account = account_for_images(tmp_path)
    mine = (output / "overlays/mine.png").relative_to(tmp_path).as_posix()
    # What people keep beside results is theirs.
    assert found(tmp_path) == sorted(["1.png", "deep/2.png", mine])
    assert len(account.left_out.as_dict()["results of earlier predictions"]) == 5
    first = f"{place}/anomaly_maps/1.npy".lstrip("/")
    line = account.left_out.summary()
    assert f"5 results of earlier predictions ({first}, " in line
    # Who names a folder of overlays wants them.
    assert found(output / "overlays") == ["1.png", "mine.png"]


def test_folders_of_results_alone_are_no_part_of_a_data_set(tmp_path):
    touch(tmp_path, *(f"normal/{i}.png" for i in range(10)))
    touch(tmp_path, "anomalous/0.png", "results/overlays/normal/0.png")
    touch(tmp_path, "results/overlays/anomalous/0.png")
    record(tmp_path / "results", "overlays/normal/0.png", "overlays/anomalous/0.png")
    with pytest.warns(UserWarning, match="2 results of earlier predictions"):
        assert len(FolderDataset(tmp_path, "train")) == 8
    with pytest.raises(UnknownLayoutError, match="has images in a known layout"):
        FolderDataset(tmp_path / "results", "train")


def test_a_damaged_record_is_no_reason_to_guess(tmp_path):
    touch(tmp_path, "a/1.png")
    record(tmp_path / "a")
    (tmp_path / "a" / ".keras_rlr_predict.json").write_text("[")
    with pytest.raises(ValueError, match=r"predict\.json' is damaged.* Remove that"):
        find_images(tmp_path)


def test_an_ordinary_folder_gives_no_line(tmp_path):
    touch(tmp_path, "a.png", "b.jpg", "LICENSE", ".DS_Store")
    assert account_for_images(tmp_path).left_out.summary() == ""


def test_names_that_are_no_text_can_be_printed(tmp_path):
    name = os.fsdecode(b"caf\xe9\n.dng")
    touch(tmp_path, name)
    line = account_for_images(tmp_path).left_out.summary()
    assert "caf\\xe9\\n.dng" in line
    line.encode()


def test_a_folder_in_its_own_place_comes_before_links_to_it(tmp_path):
    touch(tmp_path, "top/z/1.png")
    (tmp_path / "top/a").symlink_to("z")
    (tmp_path / "b").symlink_to("top")
    assert found(tmp_path) == ["b/z/1.png", "top/z/1.png"]
    tree = read_tree(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tree.folders) == [
        *("b/a", "top/a")
    ]


def test_a_folder_that_can_not_be_listed(tmp_path, monkeypatch):
    touch(tmp_path, "locked/1.png")
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path).endswith("locked"):  # the superuser may list all
            raise PermissionError("no")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PermissionError, match="locked' can't be listed"):
        find_images(tmp_path)
