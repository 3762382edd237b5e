"""Random trees: the account adds up, and nothing is labelled by a guess."""

import functools
import io
import os
import pathlib
import shutil
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.read_dataset import read_dataset

pytestmark = [
    pytest.mark.backend_independent,
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

JUNK_FOLDERS = ("@eaDir", "__MACOSX", ".thumbnails", ".git", "$RECYCLE.BIN")
NORMAL = ("good", "OK", "Normal", "good_2", "ok-new", "normal1", "Good images", "0")
NORMAL += ("defect_free", "no_defect", "goods")
MASKS = ("mask", "masks", "label", "gt", "GT", "ground_truth", "masks_2", "dent_masks")
DEFECTS = ("dent", "not_ok", "bad", "größer", "hole [1]", "logical_anomalies")
FOLDERS = (*NORMAL, *MASKS, *DEFECTS, "rgb", "xyz", "validation", "test_private", "x y")
STEMS = ("000", "a b", "über", "[x]", "a.b", "000_mask", "000_GT", "z_label", "'", "-1")
STEMS += ("thumb_000", "=1", "%20", "$HOME")
SUFFIXES = (".png", ".PNG", ".jpg", ".JPE", ".jfif", ".gif", ".Tif", ".bmp", ".webp")
OTHERS = (".dng", ".heic", "", ".json", ".txt", ".csv", ".png.part", ".npy")
NAMES = ("Thumbs.db", ".DS_Store", "desktop.ini", "LICENSE", ".hidden.png", "._000.png")

LAYOUTS = {
    "mvtec": """train/good/000 train/good/001 test/good/000 test/dent/000
        ground_truth/dent/000_mask""",
    "btad": "train/ok/0 train/ok/1 test/ok/0 test/ko/0 ground_truth/ko/0",
    "loco": """train/good/000 validation/good/000 test/good/000
        test/logical_anomalies/000 ground_truth/logical_anomalies/000/000
        ground_truth/logical_anomalies/000/001""",
    "ad2": """train/good/000 validation/good/000 test_public/good/000
        test_public/bad/000 test_public/ground_truth/bad/000_mask test_private/000""",
    "3d": """train/good/rgb/000 train/good/xyz/000 test/good/rgb/000
        test/hole/rgb/000 test/hole/gt/000""",
    "plain": """normal/0 normal/1 normal/2 normal/3 normal/4 anomalous/x/0
        masks/x/0_mask""",
    "kolektor": "kos1/Part0 kos1/Part0_label kos2/Part0 kos2/Part0_label",
    "kolektor2": "train/0 train/0_GT test/1 test/1_GT",
    "visa": """Data/Images/Normal/0 Data/Images/Normal/1 Data/Images/Anomaly/0
        Data/Masks/Anomaly/0""",
}

extras = st.lists(
    st.one_of(
        st.tuples(
            st.just("file"),
            st.integers(0, 99),
            st.one_of(
                st.builds(
                    str.__add__,
                    st.sampled_from(STEMS),
                    st.sampled_from((*SUFFIXES, *SUFFIXES, *OTHERS)),
                ),
                st.sampled_from(NAMES),
            ),
        ),
        st.tuples(
            st.sampled_from(["folder", "folder", "empty folder"]),
            st.integers(0, 99),
            st.sampled_from((*FOLDERS, *FOLDERS, *JUNK_FOLDERS)),
        ),
        st.tuples(
            st.sampled_from(["broken", "loop", "outside", "link", "file link"]),
            st.integers(0, 99),
            st.sampled_from(["link", "link.png", "good", "dent", "other"]),
        ),
    ),
    max_size=12,
)


@functools.cache
def content(black):
    file = io.BytesIO()
    pixels = np.zeros((4, 4), "uint8")
    pixels[0, 0] = 0 if black else 255
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_layout(root, layout, categories):
    for category in categories:
        for i, name in enumerate(LAYOUTS[layout].split()):
            path = root / category / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(black=layout.startswith("kol") and i == 1))
    if layout == "visa":
        (root / "split_csv").mkdir()
        rows = ["object,split,label,image,mask"]
        for c in categories:
            anomaly = f"{c}/Data/Images/Anomaly/0.png,{c}/Data/Masks/Anomaly/0.png"
            rows += [f"{c},train,normal,{c}/Data/Images/Normal/0.png,"]
            rows += [f"{c},test,normal,{c}/Data/Images/Normal/1.png,"]
            rows += [f"{c},test,anomaly,{anomaly}"]
        (root / "split_csv/1cls.csv").write_text("\n".join(rows))


def add(root, outside, kind, place, name):
    folders = sorted(path for path, _, _ in os.walk(root))
    path = pathlib.Path(folders[place % len(folders)], name)
    if os.path.lexists(path):
        return
    if kind == "file":
        path.write_bytes(content(black=False))
    elif kind == "broken":
        path.symlink_to(path.parent / "gone")
    elif kind == "file link":
        files = sorted(p for p in root.rglob("*") if p.is_file())
        path.symlink_to(files[place % len(files)])
    elif kind in ("loop", "link", "outside"):
        visible = [f for f in folders if not any(j in f for j in JUNK_FOLDERS)]
        target = {"loop": path.parent, "link": visible[place % len(visible)]}
        path.symlink_to(target.get(kind, outside))
    else:
        path.mkdir()
        if kind == "folder":
            (path / "000.png").write_bytes(content(black=False))


def walked(root):
    """Number of files, counted in another way than the package's."""
    total = sum(not os.path.isdir(entry) for entry in os.scandir(root))
    around = {os.path.realpath(p) for p in (root, *root.parents)}
    for top in os.scandir(root):
        seen = set(around)
        stack = [top.path] if os.path.isdir(top) else []
        while stack:
            folder = stack.pop()
            if os.path.basename(folder) in JUNK_FOLDERS:
                if not os.path.islink(folder):
                    total += sum(len(names) for _, _, names in os.walk(folder))
            elif os.path.realpath(folder) not in seen:
                seen.add(os.path.realpath(folder))
                for entry in os.scandir(folder):
                    if os.path.isdir(entry):
                        stack.append(entry.path)
                    else:
                        total += 1
    return total


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(LAYOUTS)), st.booleans(), extras)
def test_every_file_is_accounted_for(layout, several, extra):
    temporary = pathlib.Path(tempfile.mkdtemp()).resolve()
    try:
        root, outside = temporary / "set", temporary / "outside"
        outside.mkdir()
        (outside / "000.png").write_bytes(content(black=False))
        write_layout(root, layout, ["nut", "screw"] if several else ["nut"])
        for kind, place, name in extra:
            add(root, outside, kind, place, name)
        check(root)
    finally:
        shutil.rmtree(temporary)


def check(root):
    found = read_dataset(root)
    account = found.reading.account()
    assert account.files == walked(root)
    assert sum(account.counts.values()) == account.files
    left_out = [p for paths in account.left_out.as_dict().values() for p in paths]
    files = [path for path in left_out if not path.endswith("/")]
    assert len(set(files)) == len(files)
    assert not set(files) & set(account.used)
    for path in (*account.used, *files):
        assert os.path.lexists(root / path)
    for _, _, names in os.walk(root):  # all that are in the tree itself
        for name in names:
            assert any(p.rpartition("/")[2] == name for p in (*account.used, *files))

    used = {"train": {}, "test": {}}
    for category in found.categories:
        for split, samples in used.items():
            if found.reading.problems_of(category, split):
                with pytest.raises(ValueError):
                    FolderDataset(root, split, [category])
                continue
            for sample in found.reading.samples(category, split):
                samples[sample.path] = sample
                assert account.used[sample.path][0] == (
                    "train normal"
                    if split == "train"
                    else f"test {'anomalous' if sample.label else 'normal'}"
                )
    for sample in used["test"].values():
        if sample.label:
            assert sample.defect_type not in (*NORMAL, *MASKS, "rgb", "xyz", "images")
            below = sample.path.split("/")[1:-1]
            assert not {*below} & {*NORMAL, *MASKS, *JUNK_FOLDERS}
    for sample in used["train"].values():
        assert not sample.label
        assert not {*sample.path.split("/")} & {*MASKS, *JUNK_FOLDERS, "bad", "not_ok"}
    assert not used["train"].keys() & used["test"].keys()
    real = {s: {os.path.realpath(root / p) for p in used[s]} for s in used}
    assert not real["train"] & real["test"]
