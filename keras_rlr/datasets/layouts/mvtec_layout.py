"""MVTec AD's layout, which most data sets of the field share.

    CATEGORY/train/good/*.png             normal images; nothing else is trained on
    CATEGORY/test/good/*.png              normal images
    CATEGORY/test/DEFECT/*.png            anomalous images
    CATEGORY/ground_truth/DEFECT/*.png    masks, NAME_mask.png or NAME.png; optional

Its relatives are read too. In all of them "good" may be "ok" or "normal", in any case:

    BTAD            train/ok, test/{ok,ko}
    MVTec LOCO AD   several masks of an image, in ground_truth/DEFECT/NAME/*.png
    MVTec AD 2      test_public/{good,bad}, with ground_truth/ in it
    MVTec 3D AD     DEFECT/rgb/*.png, DEFECT/gt/*.png; DEFECT/xyz/ is left out

Images for validation, and those of tests without labels, are left out.

Source: Bergmann et al., "MVTec AD", CVPR 2019. Amazon's conversion of VisA is the same
with one kind of defect, "bad", in a folder "1cls", which is entered.
"""

from collections.abc import Iterable

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.folder_names import (
    is_masks,
    is_normal,
    looks_images,
    looks_masks,
    looks_normal,
)
from keras_rlr.datasets.layouts.folders import (
    NORMAL,
    Kind,
    add_kind,
    gather,
    keys_below,
    refuse_unmasked,
)
from keras_rlr.datasets.layouts.kolektor_layout import has_pairs_in_splits
from keras_rlr.datasets.left_out import Reason
from keras_rlr.datasets.reading import Reading

NAME = "MVTec AD's layout"
DESCRIPTION = (
    "CATEGORY/train/good/*.png, CATEGORY/test/good/*.png, CATEGORY/test/DEFECT/*.png "
    "and, optionally, CATEGORY/ground_truth/DEFECT/*_mask.png"
)
WHY = "its folders say which image is for what"
_MASKS = "ground_truth"
_SPLITS = {"train": ("train",), "test": ("test", "test_public")}
_LEFT_OUT = {
    "val": Reason.VALIDATION,
    "valid": Reason.VALIDATION,
    "validation": Reason.VALIDATION,
    "test_private": Reason.NO_LABEL,
    "test_private_mixed": Reason.NO_LABEL,
}


def find_categories(root: Folder) -> dict[str, Folder]:
    """The folder of each category; empty if the layout is another."""
    if _is_category(root):
        return {root.path.resolve().name: root}
    root = root.folders.get("1cls", root)
    return {name: child for name, child in root.folders.items() if _is_category(child)}


def _is_category(folder: Folder) -> bool:
    return any(_parts(folder, split) for split in _SPLITS) and not has_pairs_in_splits(
        folder
    )


def _parts(folder: Folder, split: str) -> list[Folder]:
    return [f for n, f in folder.folders.items() if n.casefold() in _SPLITS[split]]


def read_category(reading: Reading, category: str, folder: Folder) -> None:
    """Says what each image below a category's folder is used as."""
    for name, child in folder.folders.items():
        if name.casefold() in _LEFT_OUT:
            reading.leave_out(child, _LEFT_OUT[name.casefold()])
    for split in _SPLITS:
        parts = _parts(folder, split)
        if not parts:
            reading.refuse(
                category,
                f"The category '{category}' has no folder '{folder.path / split}'. "
                f"Expected {NAME}: {DESCRIPTION}. Add it, or choose other categories.",
                split,
            )
        for part in parts:
            reading.leave_out(part.images, Reason.LOOSE)
    for part in _parts(folder, "train"):
        _read_train(reading, category, part)
    _read_test(reading, category, folder)


def _read_train(reading: Reading, category: str, part: Folder) -> None:
    for name, child in part.folders.items():
        if is_normal(name):
            kind = gather(reading, category, child, NORMAL, "train")
            add_kind(reading, category, "train", kind)
        elif child.has_images() and looks_normal(name):
            _refuse_name(reading, category, child, "normal images", "train")
        else:
            reading.leave_out(child, Reason.NOT_TRAINED_ON)


def _read_test(reading: Reading, category: str, folder: Folder) -> None:
    kinds: list[Kind] = []
    inner_masks: list[Folder] = []
    refused: set[str] = set()
    for part in _parts(folder, "test"):
        full = {name: f for name, f in part.folders.items() if f.has_images()}
        for name, child in full.items():
            if is_masks(name):
                inner_masks.append(child)
            elif is_normal(name):
                kinds.append(gather(reading, category, child, NORMAL, "test"))
            elif why := _no_defect(name, set(full)):
                refused.add(name)
                _refuse_name(reading, category, child, why, "test")
            else:
                kinds.append(gather(reading, category, child, name, "test"))
    root = _mask_root(reading, category, folder, inner_masks)
    masks = {}
    if root is not None:
        known = {kind.folder.name for kind in kinds}
        _check_masks(reading, category, folder, root, known, refused)
        masks = {name: keys_below(child) for name, child in root.folders.items()}
    for kind in kinds:
        name = kind.folder.name
        of_kind = masks.get(name, {})
        if kind.defect_type == NORMAL and name not in masks:
            of_kind = _merge(m for n, m in masks.items() if is_normal(n))
        place = None if root is None else root.path / name
        add_kind(reading, category, "test", kind, place, of_kind)
    refuse_unmasked(reading, category)


def _no_defect(name: str, siblings: set[str]) -> str:
    """What a folder that lies where defects do has by its name, if not that."""
    if looks_masks(name, siblings):
        return "masks"
    if looks_images(name) or name.casefold() == "xyz":
        return "images of any kind"
    return "normal images" if looks_normal(name) else ""


def _refuse_name(
    reading: Reading, category: str, folder: Folder, why: str, *splits: str
) -> None:
    """Refuses a folder whose name says something else than its place."""
    reading.refuse_to_guess(
        category,
        folder,
        f"By its name '{folder.path}' has {why}, but that would be a guess. Rename it: "
        "to 'good' if its images are normal, to the name of the defect if they are "
        f"anomalous; move masks to '{_MASKS}/DEFECT'; or move it out of the data set.",
        *splits,
    )


def _mask_root(
    reading: Reading, category: str, folder: Folder, inner: list[Folder]
) -> Folder | None:
    """The folder of the masks; None if there is none, or more than one."""
    others = [f for n, f in folder.folders.items() if is_masks(n) and n != _MASKS]
    others = [f for f in [*others, *inner] if f.has_images()]
    usual = folder.folders.get(_MASKS)
    if usual is not None:
        for other in others:
            reading.leave_out(other, Reason.MASK_BESIDE)
        return usual
    if len(others) == 1 and others[0].images:
        # Of which defects they are can't be told.
        _refuse_name(reading, category, others[0], "masks", "test")
        return None
    if len(others) < 2:
        return others[0] if others else None
    for other in others:
        reading.leave_out(other, Reason.GUESS)
    names = " and ".join(f"'{other.path}'" for other in others)
    reading.refuse(
        category,
        f"By their names {names} have masks. Keep one of them, as "
        f"'{folder.path / _MASKS}'.",
        "test",
    )
    return None


def _check_masks(
    reading: Reading,
    category: str,
    folder: Folder,
    root: Folder,
    known: set[str],
    refused: set[str],
) -> None:
    """Accounts for masks that are of none of the kinds."""
    reading.leave_out(root.images, Reason.NO_IMAGE)
    for name, child in root.folders.items():
        if name in refused:
            reading.leave_out(child, Reason.GUESS)
        elif is_normal(name):
            reading.leave_out(child, Reason.NO_IMAGE)
        elif name not in known and child.has_images():
            reading.leave_out(child, Reason.NO_IMAGE)
            places = [part.path for part in _parts(folder, "test")]
            place = places[0] if places else folder.path / "test"
            reading.refuse(
                category,
                f"The masks in '{child.path}' belong to no images: there is no folder "
                f"'{place / name}'. Add it, or remove the masks.",
                "test",
            )


def _merge(several: Iterable[dict]) -> dict:
    return {key: value for one in several for key, value in one.items()}


def expected_place(folder: Folder, split: str) -> str:
    """Where the images of a split should be, for messages."""
    return str(folder.path / split / (NORMAL if split == "train" else "good or DEFECT"))
