"""Finds the images of a folder that is said to have normal ones alone."""

import warnings
from collections import defaultdict
from pathlib import Path

from keras_rlr.datasets.find_images import account_for_images, is_folder_of_masks
from keras_rlr.datasets.folder_names import is_anomalous, is_normal, looks_normal
from keras_rlr.datasets.layouts.folders import tell_masks
from keras_rlr.datasets.left_out import Reason

_TESTS = {"test", "test_public"}
_SPLITS = {"train", *_TESTS}
# Masks of MVTec LOCO AD are three folders below that of the category.
_DEEPEST = 3


def find_normal_images(folder: str | Path) -> list[Path]:
    """Finds the images in a folder, and in all below it, that are all to be normal.

    What may be a test split, defects or masks, by its place and the names of folders,
    is refused: whether its images are normal would be a guess. Folders of products are
    read, whatever they are called.

    Args:
        folder: the folder, in none of the layouts of data sets.

    Returns:
        Paths that start with `folder`, sorted.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if `folder` is a file.
        ValueError: if it has, or may have, anomalous images or masks.

    Example:

    ```python
    from keras_rlr.datasets.find_normal_images import find_normal_images

    find_normal_images("products/bottle/test/good")
    ```
    """
    folder = Path(folder)
    account = account_for_images(folder)
    if left_out := account.left_out.summary():
        warnings.warn(left_out, stacklevel=5)
    images = account.images
    # Of "." and of links that of the folder itself.
    place = folder.resolve()
    why = _why_not_normal(place, [image.relative_to(folder) for image in images])
    has_masks = Reason.MASK in account.left_out.by_reason
    if not why and has_masks:
        why = "it has masks, and so anomalous images too"
    if why and (images or has_masks):
        raise ValueError(
            f"'{folder}' is not a folder of normal images alone: {why}. Name the "
            "folder of the normal ones."
        )
    return images


def _why_not_normal(place: Path, images: list[Path]) -> str:
    """What speaks against normal images in a folder, or ""."""
    below: defaultdict[Path, set[str]] = defaultdict(set)
    files: defaultdict[Path, list[Path]] = defaultdict(list)
    for image in images:
        files[image.parent].append(image)
        for inner in (image.parent, *image.parent.parents):
            if inner.name:
                below[inner.parent].add(inner.name)
    for name in (place.name, *sorted(n for names in below.values() for n in names)):
        what = "masks" if is_folder_of_masks(name) else "anomalous images"
        if is_folder_of_masks(name) or is_anomalous(name):
            return f"by its name '{name}' has {what}"
    for inner, names in sorted(below.items()):
        defects = sorted(name for name in names if not looks_normal(name))
        if defects and any(map(is_normal, names)):
            return (
                f"'{place / inner}' has '{defects[0]}' beside normal images, as a test "
                "split has its defects"
            )
    if why := _why_by_place(place, below[Path()]):
        return why
    for several in files.values():
        _, _, unclear = tell_masks(several)
        if unclear:
            return (
                f"'{place / unclear[0]}' may be a mask by its name; if it is an image, "
                "rename it without '_mask', '_label' or '_GT'"
            )
    return ""


def _why_by_place(place: Path, inner: set[str]) -> str:
    """The same by the folders around it: it may be a part of a data set."""
    for above in (place, *list(place.parents)[:_DEEPEST]):
        beside = _folders(above.parent)
        if is_folder_of_masks(above.name) and _SPLITS & beside:
            return f"'{above}' has the masks of a data set"
        if above.name.casefold() not in _TESTS:
            continue
        if above == place:
            kinds = sorted(name for name in inner if not looks_normal(name))
        else:
            parts = place.relative_to(above).parts
            kinds = [] if any(map(looks_normal, parts)) else list(parts)
        if kinds and (
            any(map(is_normal, _folders(above)))
            or any(map(is_folder_of_masks, beside))
            or any(map(is_normal, _folders(above.with_name("train"))))
        ):
            return f"'{kinds[0]}' in '{above}' is a kind of defect by its place"
    return ""


def _folders(folder: Path) -> set[str]:
    """The names of the folders in a folder, as they are compared."""
    try:
        return {child.name.casefold() for child in folder.iterdir() if child.is_dir()}
    except OSError:  # What can't be listed says nothing.
        return set()
