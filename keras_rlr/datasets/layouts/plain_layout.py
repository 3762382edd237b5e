"""Folders of normal and of anomalous images, for users' own photographs.

    normal/        normal images
    normal_test/   normal images for testing; optional
    anomalous/     anomalous images, for testing; optional; in folders by kind or not
    masks/         a mask of each anomalous image, NAME_mask.png or NAME.png in the
                   same folders; optional

They lie in the data set's folder, or in one of each category. Without `normal_test`
every fifth normal image, by name, is for testing and not trained on.
"""

from dataclasses import replace
from pathlib import Path

from keras_rlr.datasets.layouts.folders import (
    folder_samples,
    refuse_mistake,
    subfolders,
)

NAME = "plain folders"
DESCRIPTION = (
    "normal/* and, optionally, normal_test/*, anomalous/* and masks/*_mask.png, in the "
    "folder itself or in one of each category"
)
DEFECT = "anomalous"
_EVERY = 5


def find_categories(path: Path) -> dict[str, Path]:
    """The folder of each category; empty if the layout is another."""
    if (path / "normal").is_dir():
        return {path.resolve().name: path}
    return {c.name: c for c in subfolders(path) if (c / "normal").is_dir()}


def list_samples(
    root: Path, folder: Path, category: str, split: str, refuse=refuse_mistake
):
    """The samples of a category's split.

    Raises:
        ValueError: if images and masks don't match.
    """
    normal = folder_samples(root, folder / "normal", category)
    if (folder / "normal_test").is_dir():
        testing = folder_samples(root, folder / "normal_test", category)
    else:
        testing = normal[_EVERY - 1 :: _EVERY]
        normal = [s for i, s in enumerate(normal) if i % _EVERY != _EVERY - 1]
    if split == "train":
        return normal
    anomalous, masks = folder / "anomalous", folder / "masks"
    samples = folder_samples(
        root, anomalous, category, DEFECT, masks if masks.is_dir() else None, refuse
    )
    return [_with_kind(sample, anomalous) for sample in samples] + testing


def _with_kind(sample, folder):
    parts = sample.image.relative_to(folder).parts
    return replace(sample, defect_type=parts[0]) if len(parts) > 1 else sample


def expected_place(folder: Path, split: str) -> str:
    """Where the images of a split should be, for messages."""
    names = "normal" if split == "train" else "normal_test or anomalous"
    return str(folder / names)
