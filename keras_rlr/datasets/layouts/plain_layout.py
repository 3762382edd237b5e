"""Folders of normal and of anomalous images, for users' own photographs.

    normal/        normal images
    normal_test/   normal images for testing; optional
    anomalous/     anomalous images, for testing; optional; in folders by kind or not
    masks/         a mask of each anomalous image, NAME_mask.png or NAME.png in the
                   same folders; optional

They lie in the data set's folder, or in one of each category. Without `normal_test`
every fifth normal image, by name, is for testing and not trained on.
"""

from pathlib import Path

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.folder_names import (
    is_anomalous,
    is_masks,
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
from keras_rlr.datasets.layouts.pair_masks import pair_masks
from keras_rlr.datasets.left_out import Reason
from keras_rlr.datasets.reading import Reading

NAME = "plain folders"
DESCRIPTION = (
    "normal/* and, optionally, normal_test/*, anomalous/* and masks/*_mask.png, in the "
    "folder itself or in one of each category"
)
WHY = "it has a folder of normal images"
DEFECT = "anomalous"
EVERY = 5
_ROLES = ("normal", "normal_test", "anomalous", "masks")


def find_categories(root: Folder) -> dict[str, Folder]:
    """The folder of each category; empty if the layout is another."""
    # "normal" as it is written: VisA has "Normal" beside "Anomaly".
    if "normal" in root.folders:
        return {root.path.resolve().name: root}
    return {n: child for n, child in root.folders.items() if "normal" in child.folders}


def _roles(folder: Folder) -> dict[str, Folder]:
    """The folders that have a role in the layout."""
    roles: dict[str, Folder] = {"normal": folder.folders["normal"]}
    for name, child in folder.folders.items():
        # Two that differ in case alone are for `_check_others`.
        if name.casefold() in _ROLES:
            roles.setdefault(name.casefold(), child)
    others = [f for n, f in folder.folders.items() if is_masks(n) and f.has_images()]
    if "masks" not in roles and len(others) == 1:
        roles["masks"] = others[0]
    return roles


def read_category(reading: Reading, category: str, folder: Folder) -> None:
    """Says what each image below a category's folder is used as."""
    roles = _roles(folder)
    _check_others(reading, category, folder, roles)
    normal = gather(reading, category, roles["normal"])
    if "normal_test" in roles:
        tested = gather(reading, category, roles["normal_test"], NORMAL, "test")
    else:
        tested = _every_fifth(normal)
    anomalous = Kind(folder.path / "anomalous", DEFECT)
    if "anomalous" in roles:
        anomalous = gather(reading, category, roles["anomalous"], DEFECT, "test")
        anomalous.by_folder = True
    place, masks = None, {}
    if "masks" in roles:
        place = roles["masks"].path
        masks = keys_below(roles["masks"])
        for kind in (normal, tested):
            _take_masks(kind, anomalous, masks)
    add_kind(reading, category, "train", normal)
    add_kind(reading, category, "test", anomalous, place, masks)
    add_kind(reading, category, "test", tested)
    refuse_unmasked(reading, category)


def _every_fifth(normal: Kind) -> Kind:
    """Takes every fifth image, and the masks beside them."""
    tested = Kind(normal.folder)
    for image in normal.sorted_images()[EVERY - 1 :: EVERY]:
        tested.images[image] = normal.images.pop(image)
    matched, _ = pair_masks(tested.images, normal.masks)
    for masks in matched.values():
        tested.masks.update({mask: normal.masks.pop(mask) for mask in masks})
    return tested


def _take_masks(normal: Kind, anomalous: Kind, masks: dict[Path, str]) -> None:
    """Takes the masks that are of normal images and of no anomalous ones."""
    _, free = pair_masks(anomalous.images, masks)
    name = normal.folder.name
    keys = {mask: masks[mask].removeprefix(f"{name}/") for mask in free}
    matched, _ = pair_masks(normal.images, keys)
    for of_image in matched.values():
        for mask in of_image:
            normal.masks[mask] = keys[mask]
            del masks[mask]


def _check_others(
    reading: Reading, category: str, folder: Folder, roles: dict[str, Folder]
) -> None:
    """Refuses folders that may be one of the layout's by another name."""
    siblings = set(folder.folders)
    for name, child in folder.folders.items():
        if child in roles.values() or not child.has_images():
            continue
        if is_masks(name) and "masks" in roles:
            reading.leave_out(child, Reason.MASK_BESIDE)
        elif is_masks(name) or looks_masks(name, siblings):
            _refuse_name(reading, category, child, "masks", "masks", "test")
        elif looks_normal(name) or name.casefold() in ("normal", "normal_test"):
            _refuse_name(reading, category, child, "normal images", "normal")
        elif is_anomalous(name):
            _refuse_name(
                reading, category, child, "anomalous images", "anomalous", "test"
            )


def _refuse_name(
    reading: Reading, category: str, folder: Folder, why: str, usual: str, *splits: str
) -> None:
    reading.refuse_to_guess(
        category,
        folder,
        f"By its name '{folder.path}' has {why}, but that would be a guess. Move "
        f"what is in it to '{folder.path.with_name(usual)}', or rename it, or move it "
        "out of the data set.",
        *splits,
    )


def expected_place(folder: Folder, split: str) -> str:
    """Where the images of a split should be, for messages."""
    names = "normal" if split == "train" else "normal_test or anomalous"
    return str(folder.path / names)
