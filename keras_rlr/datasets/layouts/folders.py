"""Folders with images of one kind, and the masks that belong to them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.folder_names import (
    is_anomalous,
    is_depth,
    is_masks,
    looks_images,
    looks_masks,
    looks_normal,
    without_mask_ending,
)
from keras_rlr.datasets.layouts.pair_masks import pair_masks
from keras_rlr.datasets.left_out import Reason
from keras_rlr.datasets.reading import Reading
from keras_rlr.datasets.sample import Sample

NORMAL = "good"
_LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp")


@dataclass
class Kind:
    """The images of one kind.

    Args:
        folder: the folder they lie in, or in folders of.
        defect_type: "good" for normal images.
        images: their files, with what masks are called after, a path without suffix.
        masks: masks that lie with them, with the same.
        by_folder: whether the folders in it have the names of the defects.
    """

    folder: Path
    defect_type: str = NORMAL
    images: dict[Path, str] = field(default_factory=dict)
    masks: dict[Path, str] = field(default_factory=dict)
    by_folder: bool = False

    def sorted_images(self) -> list[Path]:
        """The images by their path in the folder."""
        return sorted(self.images, key=Path.as_posix)

    def defect_of(self, image: Path) -> str:
        """The kind of defect of an image."""
        name, slash, _ = self.images[image].partition("/")
        return name if slash and self.by_folder else self.defect_type


def gather(
    reading: Reading,
    category: str,
    folder: Folder,
    defect_type: str = NORMAL,
    *splits: str,
) -> Kind:
    """Tells images and masks apart in a folder and all folders below it.

    Masks are the files that end in `_mask`, `_label` or `_GT` beside an image of the
    same name, and those in a folder that is called so beside images.

    Args:
        reading: gets what would be a guess.
        category: the product the images show.
        folder: the folder.
        defect_type: "good" for normal images.
        *splits: those that the images are for.

    Returns:
        A `Kind`.
    """
    kind = Kind(folder.path, defect_type)
    stack = [(folder, "")]
    while stack:
        inner, prefix = stack.pop()
        images, masks, unclear = tell_masks(inner.images)
        kind.images.update({image: prefix + image.stem for image in images})
        kind.masks.update({mask: prefix + mask.stem for mask in masks})
        if unclear:
            reading.refuse_to_guess(
                category,
                unclear,
                f"'{unclear[0]}'{_more(unclear)} may be a mask by its name, but there "
                "is no image of that name beside it. If it is an image, rename it "
                "without '_mask', '_label' or '_GT'; if it is a mask, move it to the "
                "folder of masks, or remove it.",
                *splits,
            )
        full = {name: f for name, f in inner.folders.items() if f.has_images()}
        alone = not inner.images and all(is_masks(name) for name in full)
        for name, child in full.items():
            if is_masks(name) and not alone:
                kind.masks.update(keys_below(child, prefix))
            elif is_depth(name) and any(n.casefold() == "rgb" for n in full):
                reading.leave_out(child, Reason.DEPTH)
            elif why := _contradiction(name, set(full), defect_type):
                reading.refuse_to_guess(
                    category,
                    child,
                    f"'{child.path}' lies in a folder of {_of_kind(defect_type)}, but "
                    f"by its name it has {why}. Rename it if it belongs there, or "
                    "move it.",
                    *splits,
                )
            elif looks_images(name):
                stack.append((child, prefix))
            else:
                stack.append((child, f"{prefix}{name}/"))
    return kind


def _contradiction(name: str, siblings: set[str], defect_type: str) -> str:
    if is_masks(name) or looks_masks(name, siblings):
        return "masks"
    if defect_type == NORMAL and is_anomalous(name):
        return "anomalous images"
    if defect_type != NORMAL and looks_normal(name):
        return "normal images"
    return ""


def _of_kind(defect_type: str) -> str:
    return "normal images" if defect_type == NORMAL else "anomalous images"


def _more(paths: list[Path]) -> str:
    return f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""


def tell_masks(files: Iterable[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """Tells images, masks beside them and those that may be either apart.

    Args:
        files: the files of one folder.
    """
    files = list(files)
    stems = {file.stem for file in files}
    images: list[Path] = []
    masks: list[Path] = []
    unclear: list[Path] = []
    for file in files:
        of = without_mask_ending(file.stem)
        (images if of is None else masks if of in stems else unclear).append(file)
    return images, masks, unclear


def keys_below(folder: Folder, prefix: str = "") -> dict[Path, str]:
    """All images below a folder, with their paths below it without suffix."""
    return {
        image: prefix + image.relative_to(folder.path).with_suffix("").as_posix()
        for image in folder.all_images()
    }


def add_kind(
    reading: Reading,
    category: str,
    split: str,
    kind: Kind,
    mask_folder: Path | None = None,
    masks: dict[Path, str] | None = None,
) -> None:
    """Uses the images of a kind, with their masks.

    Args:
        reading: gets the samples, and what is wrong.
        category: the product they show.
        split: "train" or "test".
        kind: the images.
        mask_folder: the folder where their masks should be, or None if masks lie with
            the images, or there are none.
        masks: the masks in that folder, with what they are called after.
    """
    label = int(kind.defect_type != NORMAL)
    if mask_folder is None:
        masks = kind.masks
    else:
        reading.leave_out(kind.masks, Reason.MASK_BESIDE)
    matched, unmatched = pair_masks(kind.images, masks or {})
    for image in kind.sorted_images():
        of_image = matched.get(image, ())
        for mask in of_image:
            check_lossless(reading, category, mask, split)
        if label and mask_folder is not None and not of_image:
            place = mask_folder / kind.images[image]
            reading.refuse(
                category,
                f"The anomalous image '{image}' has no mask. Expected "
                f"'{place}_mask.png' or '{place}.png'. Add it, or remove the whole "
                "folder of masks to do without.",
                split,
            )
        reading.add(
            split,
            Sample(
                image=image,
                label=label,
                mask=of_image[0] if of_image else None,
                category=category,
                defect_type=kind.defect_of(image),
                path=reading.name_of(image),
                more_masks=of_image[1:],
            ),
        )
    reading.leave_out(unmatched, Reason.NO_IMAGE)
    for mask in unmatched if label else ():
        reading.refuse(
            category,
            f"The mask '{mask}' belongs to no image. Expected an image of its name, "
            f"without '_mask', in '{kind.folder}'. Add the image, or remove the mask.",
            split,
        )


def refuse_unmasked(reading: Reading, category: str) -> None:
    """Refuses anomalous images without a mask where others have one beside them."""
    anomalous = [s for s in reading.samples(category, "test") if s.label]
    unmasked = [sample for sample in anomalous if not sample.masks]
    if len(unmasked) < len(anomalous):
        for sample in unmasked:
            reading.refuse(
                category,
                f"The anomalous image '{sample.image}' has no mask, but others of its "
                "category have one beside them. Add it, or remove all masks.",
                "test",
            )


def check_lossless(reading: Reading, category: str, mask: Path, *splits: str) -> None:
    """Refuses a mask in a format that loses information."""
    if mask.suffix.lower() in _LOSSY_SUFFIXES:
        reading.refuse(
            category,
            f"The mask '{mask}' is in a format that changes pixels: what was 0 may "
            "have become 1, and anything above 0 is anomalous. Save masks as .png.",
            *splits,
        )
