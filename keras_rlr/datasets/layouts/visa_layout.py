"""VisA's layout as it is published.

    CATEGORY/Data/Images/Normal/*.JPG
    CATEGORY/Data/Images/Anomaly/*.JPG
    CATEGORY/Data/Masks/Anomaly/*.png     any value above 0 is anomalous
    split_csv/1cls.csv                    object, split, label, image, mask

The table says which image is for what; paths in it are relative to the data set's
folder.

Source: Zou et al., "SPot-the-Difference Self-supervised Pre-training for Anomaly
Detection and Segmentation", ECCV 2022.
"""

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from keras_rlr.datasets.layouts.folders import NORMAL, check_lossless, refuse_mistake
from keras_rlr.datasets.sample import Sample

NAME = "VisA's layout"
DESCRIPTION = (
    "CATEGORY/Data/Images/{Normal,Anomaly}/*.JPG, CATEGORY/Data/Masks/Anomaly/*.png "
    "and split_csv/1cls.csv"
)
DEFECT = "anomaly"
_TABLE = Path("split_csv", "1cls.csv")
_COLUMNS = ("object", "split", "label", "image", "mask")


@dataclass(frozen=True)
class Row:
    """A row of the table, with its paths made absolute.

    Args:
        split: "train" or "test".
        label: 0 or 1.
        image: the image's file.
        mask: the mask's file, or None.
    """

    split: str
    label: int
    image: Path
    mask: Path | None


def find_categories(path: Path) -> dict[str, list[Row]]:
    """The rows of each category; empty if the layout is another.

    Raises:
        ValueError: if the table is missing or malformed.
    """
    only = None
    if (path / "Data" / "Images").is_dir():
        only, path = path.resolve().name, path.resolve().parent
    elif not (path / _TABLE).is_file() and not _looks_like_visa(path):
        return {}
    if not (path / _TABLE).is_file():
        raise ValueError(
            f"'{path}' has {NAME} but no table of the splits. Expected "
            f"'{path / _TABLE}', which comes with the data set: take it from the "
            "archive."
        )
    categories = _read_table(path)
    return categories if only is None else {only: categories.get(only, [])}


def _looks_like_visa(path: Path) -> bool:
    return any((child / "Data" / "Images").is_dir() for child in path.iterdir())


def _read_table(path: Path) -> dict[str, list[Row]]:
    categories: dict[str, list[Row]] = {}
    with (path / _TABLE).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if set(_COLUMNS) - set(reader.fieldnames or ()):
            raise ValueError(
                f"'{path / _TABLE}' must have the columns {', '.join(_COLUMNS)}. It "
                f"has {', '.join(reader.fieldnames or ['none'])}."
            )
        for number, row in enumerate(reader, start=2):
            categories.setdefault(row["object"], []).append(_row(path, row, number))
    return categories


def _row(root: Path, row: dict[str, str], number: int) -> Row:
    where = f"Line {number} of '{root / _TABLE}'"
    if row["split"] not in ("train", "test") or row["label"] not in (
        "normal",
        "anomaly",
    ):
        raise ValueError(
            f"{where} must have the split train or test and the label normal or "
            f"anomaly. Received: {row['split']!r}, {row['label']!r}."
        )
    anomalous = row["label"] == "anomaly"
    mask = _below(root, row["mask"], where) if row["mask"] and anomalous else None
    return Row(row["split"], int(anomalous), _below(root, row["image"], where), mask)


def _below(root: Path, name: str, where: str) -> Path:
    path = PurePosixPath(name or "")
    if not name or path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"{where} must name a file below the data set's folder. Received: {name!r}."
        )
    return root / path


def list_samples(
    root: Path, rows: list[Row], category: str, split: str, refuse=refuse_mistake
):
    """The samples of a category's split, sorted by path.

    Raises:
        ValueError: if a file of the table is missing, or some of the anomalous images
            have masks and others none.
    """
    wanted = [row for row in rows if row.split == split]
    if split == "train":
        wanted = [row for row in wanted if not row.label]
    masked = any(row.mask for row in wanted)
    samples = []
    for row in wanted:
        files = [file for file in (row.image, row.mask) if file is not None]
        missing = [file for file in files if not file.is_file()]
        for file in missing:
            refuse(
                f"'{file}' is missing, but the table of the splits names it. Extract "
                "the archive anew."
            )
        if missing:
            continue
        if row.mask:
            check_lossless(row.mask, refuse)
        elif row.label and masked:
            refuse(
                f"The anomalous image '{row.image}' has no mask in the table of the "
                "splits, but others of its category do. Add it, or remove all masks."
            )
        samples.append(
            Sample(
                image=row.image,
                label=row.label,
                mask=row.mask,
                category=category,
                defect_type=DEFECT if row.label else NORMAL,
                path=_relative(row.image, root),
            )
        )
    return sorted(samples, key=lambda sample: sample.path)


def _relative(image: Path, root: Path) -> str:
    # If the folder of one category was given, the table's paths begin above it.
    base = root if image.is_relative_to(root) else root.resolve()
    return image.relative_to(base).as_posix()


def expected_place(rows: list[Row], split: str) -> str:
    """Where the images of a split should be, for messages."""
    return f"the rows of {_TABLE.as_posix()} with the split {split}"
