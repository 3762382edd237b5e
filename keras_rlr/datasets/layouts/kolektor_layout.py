"""KolektorSDD's layout: every image has a mask beside it, which says what it is.

    ITEM/Part0.jpg          images; in the folder itself or in folders of it
    ITEM/Part0_label.bmp    their masks, NAME_label, NAME_mask or NAME_GT; all black
                            for a normal image

All anomalous images are for testing, and of the normal ones those of every fifth item
by name (every fifth image, where there are fewer than five folders); the other normal
images are trained on. KolektorSDD2 has folders `train` and `test` instead of items:
anomalous images in `train` are left out.

Source: Tabernik et al., "Segmentation-based deep-learning approach for surface-defect
detection", Journal of Intelligent Manufacturing, 2019.
"""

import functools
from pathlib import Path

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.folder_names import is_masks
from keras_rlr.datasets.layouts.folders import (
    NORMAL,
    check_lossless,
    tell_masks,
)
from keras_rlr.datasets.layouts.pair_masks import pair_masks
from keras_rlr.datasets.left_out import Reason
from keras_rlr.datasets.mask_files import is_black
from keras_rlr.datasets.reading import SPLITS, Reading
from keras_rlr.datasets.sample import Sample

NAME = "KolektorSDD's layout"
DESCRIPTION = "ITEM/Part0.jpg, each with its mask beside it, ITEM/Part0_label.bmp"
WHY = "masks lie beside all images"
DEFECT = "anomalous"
_EVERY = 5


def find_categories(root: Folder) -> dict[str, Folder]:
    """The folder of each category; empty if the layout is another."""
    if has_pairs_in_splits(root):
        return {root.path.resolve().name: root}
    several = {n: f for n, f in root.folders.items() if has_pairs_in_splits(f)}
    if several:
        return several
    if _has_items(root):
        return {root.path.resolve().name: root}
    return {name: child for name, child in root.folders.items() if _has_items(child)}


def has_pairs_in_splits(folder: Folder) -> bool:
    """Whether a folder has train or test, and these have images with masks alone."""
    splits = _splits(folder).values()
    return any(map(_has_pairs, splits)) and not any(
        inner.has_images() for split in splits for inner in split.folders.values()
    )


def _splits(folder: Folder) -> dict[str, Folder]:
    return {
        n.casefold(): f for n, f in folder.folders.items() if n.casefold() in SPLITS
    }


def _has_items(folder: Folder) -> bool:
    return any(map(_has_pairs, (folder, *folder.folders.values())))


def _has_pairs(folder: Folder) -> bool:
    return bool(tell_masks(folder.images)[1])


def read_category(reading: Reading, category: str, folder: Folder) -> None:
    """Says what each image below a category's folder is used as."""
    splits = _splits(folder)
    if splits:
        for split, part in splits.items():
            for image, mask in _pairs(reading, category, [part]):
                _add(reading, category, split, image, mask)
        return
    items = [folder, *(f for n, f in folder.folders.items() if not is_masks(n))]
    pairs = _pairs(reading, category, items)
    names = sorted({image.parent for image, _ in pairs})
    if len(names) < _EVERY:
        names = sorted(image for image, _ in pairs)
    tested = set(names[_EVERY - 1 :: _EVERY])
    for image, mask in pairs:
        test = image in tested or image.parent in tested or not _is_black(mask)
        _add(reading, category, "test" if test else "train", image, mask)


def _pairs(
    reading: Reading, category: str, folders: list[Folder]
) -> list[tuple[Path, Path]]:
    """Images and their masks, by path; what is no such pair is refused."""
    pairs = []
    for folder in folders:
        images, masks, unclear = tell_masks(folder.images)
        matched, free = pair_masks(
            {image: image.stem for image in images}, {mask: mask.stem for mask in masks}
        )
        for mask in free:
            # Those that `tell_masks` calls so have an image.
            reading.refuse_to_guess(
                category,
                [mask],
                f"'{mask}' is a second mask of its image, and which of them says "
                "whether it is normal would be a guess. Keep one.",
            )
        alone = [image for image in images if image not in matched]
        for file in (*alone, *unclear):
            reading.refuse_to_guess(
                category,
                [file],
                f"'{file}' has no mask beside it, as other images have, so whether it "
                "is normal would be a guess. Add a mask, all black if it is normal, or "
                "move it out of the data set.",
            )
        for image, (mask, *_) in matched.items():
            check_lossless(reading, category, mask)
            try:
                _is_black(mask)
            except (OSError, ValueError) as error:
                reading.refuse_to_guess(category, [image, mask], str(error))
            else:
                pairs.append((image, mask))
    return sorted(pairs)


def _add(reading: Reading, category: str, split: str, image: Path, mask: Path) -> None:
    label = int(not _is_black(mask))
    if label and split == "train":
        reading.leave_out([image, mask], Reason.NOT_TRAINED_ON)
        return
    reading.add(
        split,
        Sample(
            image=image,
            label=label,
            mask=mask,
            category=category,
            defect_type=DEFECT if label else NORMAL,
            path=reading.name_of(image),
        ),
    )


def _is_black(mask: Path) -> bool:
    status = mask.stat()
    return _cached_is_black(mask, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=65536)
def _cached_is_black(mask: Path, size: int, time: int) -> bool:
    return is_black(mask)


def expected_place(folder: Folder, split: str) -> str:
    """Where the images of a split should be, for messages."""
    return str(_splits(folder).get(split, folder).path)
