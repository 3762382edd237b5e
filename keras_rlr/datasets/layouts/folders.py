"""Folders with images, and the masks that belong to them."""

from pathlib import Path

from keras_rlr.datasets.image_files import find_images
from keras_rlr.datasets.sample import Sample

NORMAL = "good"
_LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp")


def subfolders(path: Path) -> list[Path]:
    """The folders in a folder, sorted; hidden ones are left out."""
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    )


def refuse_mistake(sentence: str) -> None:
    """Raises a ValueError."""
    raise ValueError(sentence)


def folder_samples(
    root,
    folder,
    category,
    defect_type=NORMAL,
    mask_folder=None,
    refuse=refuse_mistake,
):
    """The images of a folder and of all below it as samples.

    Args:
        root: the data set's folder, which paths are relative to.
        folder: the folder with the images; it may be missing.
        category: the product they show.
        defect_type: "good" for normal images.
        mask_folder: the folder with a mask of each, or None to do without.
        refuse: what is done about a mistake, which is given as a sentence.

    Returns:
        List of `Sample`s.

    Raises:
        ValueError: if an image has no mask, or a mask no image.
    """
    images = find_images(folder) if folder.is_dir() else []
    masks = [None] * len(images)
    if mask_folder is not None:
        masks = pair_masks(images, folder, mask_folder, refuse)
    return [
        Sample(
            image=image,
            label=int(defect_type != NORMAL),
            mask=mask,
            category=category,
            defect_type=defect_type,
            path=image.relative_to(root).as_posix(),
        )
        for image, mask in zip(images, masks, strict=True)
    ]


def pair_masks(
    images: list[Path], folder: Path, mask_folder: Path, refuse=refuse_mistake
) -> list[Path | None]:
    """Finds the mask of each image.

    The mask of `folder/a/b.jpg` is `mask_folder/a/b_mask.png` or, without that,
    `mask_folder/a/b.png`; the suffix may be that of any format without loss.

    Args:
        images: the image files.
        folder: the folder they were found in.
        mask_folder: the folder with their masks.
        refuse: what is done about a mistake, which is given as a sentence.

    Returns:
        List of mask files in the order of the images.

    Raises:
        ValueError: if an image has no mask, a mask no image, or a mask is in a format
            that loses information.
    """
    found = {}
    if mask_folder.is_dir():
        for mask in find_images(mask_folder):
            found[mask.relative_to(mask_folder).with_suffix("")] = mask
    masks: list[Path | None] = []
    for image in images:
        name = image.relative_to(folder).with_suffix("")
        names = (name.with_name(f"{name.name}_mask"), name)
        matches = [candidate for candidate in names if candidate in found]
        if matches:
            masks.append(found.pop(matches[0]))
            check_lossless(masks[-1], refuse)
        else:
            masks.append(None)
            refuse(
                f"The anomalous image '{image}' has no mask. Expected "
                f"'{mask_folder / name}_mask.png' or '{mask_folder / name}.png'. Add "
                "it, or remove the whole folder of masks to do without."
            )
    for mask in found.values():
        refuse(
            f"The mask '{mask}' belongs to no image. Expected an image of its name, "
            f"without '_mask', in '{folder}'. Add the image, or remove the mask."
        )
    return masks


def check_lossless(mask, refuse=refuse_mistake) -> None:
    """Refuses a mask in a format that loses information."""
    if mask.suffix.lower() in _LOSSY_SUFFIXES:
        refuse(
            f"The mask '{mask}' is in a format that changes pixels: what was 0 may "
            "have become 1, and anything above 0 is anomalous. Save masks as .png."
        )
