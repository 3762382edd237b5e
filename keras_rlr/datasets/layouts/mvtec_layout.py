"""MVTec AD's layout, which most data sets of the field share.

    CATEGORY/train/good/*.png             normal images; nothing else is trained on
    CATEGORY/test/good/*.png              normal images
    CATEGORY/test/DEFECT/*.png            anomalous images
    CATEGORY/ground_truth/DEFECT/*.png    masks, NAME_mask.png or NAME.png; optional

Source: Bergmann et al., "MVTec AD", CVPR 2019. Amazon's conversion of VisA is the same
with one kind of defect, "bad", in a folder "1cls", which is entered.
"""

from pathlib import Path

from keras_rlr.datasets.layouts.folders import (
    NORMAL,
    folder_samples,
    refuse_mistake,
    subfolders,
)

NAME = "MVTec AD's layout"
DESCRIPTION = (
    "CATEGORY/train/good/*.png, CATEGORY/test/good/*.png, CATEGORY/test/DEFECT/*.png "
    "and, optionally, CATEGORY/ground_truth/DEFECT/*_mask.png"
)


def find_categories(path: Path) -> dict[str, Path]:
    """The folder of each category; empty if the layout is another."""
    if _is_category(path):
        return {path.resolve().name: path}
    if (path / "1cls").is_dir():
        path = path / "1cls"
    return {child.name: child for child in subfolders(path) if _is_category(child)}


def _is_category(path: Path) -> bool:
    return (path / "train").is_dir() or (path / "test").is_dir()


def list_samples(
    root: Path, folder: Path, category: str, split: str, refuse=refuse_mistake
):
    """The samples of a category's split.

    Raises:
        ValueError: if the split has no folder, or images and masks don't match.
    """
    if not (folder / split).is_dir():
        refuse(
            f"The category '{category}' has no folder '{folder / split}'. Expected "
            f"{NAME}: {DESCRIPTION}. Add it, or choose other categories."
        )
        return []
    if split == "train":
        return folder_samples(root, folder / split / NORMAL, category)
    masks = folder / "ground_truth"
    kinds = [child.name for child in subfolders(folder / split)]
    if masks.is_dir():
        for child in subfolders(masks):
            if child.name not in kinds and any(child.iterdir()):
                refuse(
                    f"The masks in '{child}' belong to no images: there is no folder "
                    f"'{folder / split / child.name}'. Add it, or remove the masks."
                )
    samples = []
    for kind in kinds:
        of_kind = masks / kind if masks.is_dir() and kind != NORMAL else None
        samples += folder_samples(
            root, folder / split / kind, category, kind, of_kind, refuse
        )
    return samples


def expected_place(folder: Path, split: str) -> str:
    """Where the images of a split should be, for messages."""
    return str(folder / split / (NORMAL if split == "train" else "good or DEFECT"))
