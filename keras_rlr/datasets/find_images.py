"""Finds the images in a folder, and accounts for what is left out."""

from dataclasses import dataclass
from pathlib import Path

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.folder_names import is_masks, without_mask_ending
from keras_rlr.datasets.image_files import check_folder
from keras_rlr.datasets.left_out import LeftOut, Reason
from keras_rlr.datasets.tree import read_tree


@dataclass(frozen=True)
class ImageAccount:
    """Every file below a folder: the images, and what is left out and why.

    Args:
        images: paths that start with the folder, sorted by their path below it.
        left_out: the others; `left_out.summary()` is one line of them, or "".
    """

    images: list[Path]
    left_out: LeftOut


def find_images(folder: str | Path) -> list[Path]:
    """Finds the image files in a folder and all folders below it.

    Files are known by their suffix, in any case: .png, .jpg, .jpeg, .jpe, .jfif,
    .bmp, .tif, .tiff, .webp, .gif. Names that start with a dot, thumbnails and masks
    are left out: files that end in `_mask`, `_label` or `_GT` beside an image of the
    same name, and folders that are called so or `ground_truth` beside images.
    So are the files that `predict` wrote, by the hidden record in its folder.
    `account_for_images` tells what is left out. Links to folders are followed, but
    within each folder at the top every folder is entered once, and those around
    `folder` never.

    Args:
        folder: the folder.

    Returns:
        Paths that start with `folder`, sorted by their path below it.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if `folder` is a file.
        PermissionError: if a folder can't be listed.
        ValueError: if the record of what a prediction wrote is damaged.

    Example:

    ```python
    from keras_rlr.datasets import find_images, read_image

    images = [read_image(path) for path in find_images("photographs")]
    ```
    """
    return account_for_images(folder).images


def account_for_images(folder: str | Path) -> ImageAccount:
    """Finds images as `find_images` does, and accounts for every other file.

    Args:
        folder: the folder.

    Returns:
        An `ImageAccount`.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if `folder` is a file.
        PermissionError: if a folder can't be listed.
        ValueError: if the record of what a prediction wrote is damaged.

    Example:

    ```python
    from keras_rlr.datasets import account_for_images

    account = account_for_images("photographs")
    print(len(account.images), account.left_out.summary())
    ```
    """
    folder = Path(folder)
    check_folder(folder)
    tree = read_tree(folder)
    if tree.unreadable:
        raise PermissionError(
            f"The folder '{tree.unreadable[0]}' can't be listed. Give yourself the "
            "right to read it, or remove it."
        )
    masks = _masks(tree.root)
    left_out = LeftOut(folder)
    images = []
    for path, reason in tree.files.items():
        if reason is None and path not in masks:
            images.append(path)
        else:
            left_out.add(path.relative_to(folder).as_posix(), reason or Reason.MASK)
    for path, reason in tree.folders.items():
        left_out.add(path.relative_to(folder).as_posix() + "/", reason)
    images.sort(key=Path.as_posix)
    return ImageAccount(images, left_out)


def _masks(root: Folder) -> set[Path]:
    """The masks that lie beside their images, and those in folders of masks."""
    masks: set[Path] = set()
    stack = [root]
    while stack:
        folder = stack.pop()
        stems = {image.stem for image in folder.images}
        masks |= {
            image for image in folder.images if without_mask_ending(image.stem) in stems
        }
        of_masks: list[Folder] = []
        others: list[Folder] = []
        for inner in folder.folders.values():
            (of_masks if is_folder_of_masks(inner.name) else others).append(inner)
        if folder.images or any(other.has_images() for other in others):
            for inner in of_masks:
                masks |= set(inner.all_images())
            of_masks = []
        stack += others + of_masks
    return masks


def is_folder_of_masks(name: str) -> bool:
    """Whether a folder of images has masks by its name.

    Args:
        name: the folder's name.
    """
    # Photographs of labels are more likely here than masks that are called so.
    return is_masks(name) and not name.casefold().startswith("label")
