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

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.layouts.folders import NORMAL, check_lossless
from keras_rlr.datasets.layouts.visa_table import Row, read_table
from keras_rlr.datasets.left_out import Reason
from keras_rlr.datasets.reading import Reading
from keras_rlr.datasets.sample import Sample

NAME = "VisA's layout"
DESCRIPTION = (
    "CATEGORY/Data/Images/{Normal,Anomaly}/*.JPG, CATEGORY/Data/Masks/Anomaly/*.png "
    "and split_csv/1cls.csv"
)
WHY = "its table says which image is for what"
DEFECT = "anomaly"
_TABLE = Path("split_csv", "1cls.csv")


@dataclass(frozen=True)
class Rows:
    """What the table says of a category.

    Args:
        path: the data set's folder.
        table: the table's file.
        rows: the rows of the category.
        above: whether the table lies in the folder above `path`.
    """

    path: Path
    table: Path
    rows: list[Row]
    above: bool

    def place(self, name: PurePosixPath) -> Path:
        """Where a file of the table is."""
        if not self.above:
            return self.path / name
        own = self.path.resolve()
        if name.parts[0] == own.name:
            return self.path.joinpath(*name.parts[1:])
        return own.parent / name


def find_categories(root: Folder) -> dict[str, Rows]:
    """The rows of each category; empty if the layout is another.

    Raises:
        ValueError: if the table is missing or malformed.
    """
    path, above = root.path, _has_images(root)
    if above:
        path = path.resolve().parent
    elif not (path / _TABLE).is_file() and not any(
        map(_has_images, root.folders.values())
    ):
        return {}
    table = path / _TABLE
    if not table.is_file():
        raise ValueError(
            f"'{path}' has {NAME} but no table of the splits. Expected '{table}', "
            "which comes with the data set: take it from the archive."
        )
    rows: dict[str, list[Row]] = {}
    for row in read_table(table):
        rows.setdefault(row.category, []).append(row)
    if above:
        rows = {root.path.resolve().name: rows.get(root.path.resolve().name, [])}
    return {name: Rows(root.path, table, of, above) for name, of in rows.items()}


def _has_images(folder: Folder) -> bool:
    return "Data" in folder.folders and "Images" in folder.folders["Data"].folders


def read_category(reading: Reading, category: str, found: Rows) -> None:
    """Says what each image of a category's rows is used as."""
    reading.default = Reason.NOT_IN_TABLE
    reading.use_table(found.table)
    masked = any(row.mask for row in found.rows if row.label and row.split == "test")
    for row in sorted(found.rows, key=lambda row: row.image):
        image = found.place(row.image)
        mask = None if row.mask is None else found.place(row.mask)
        files = [file for file in (image, mask) if file is not None]
        if row.label and row.split == "train":
            reading.leave_out(files, Reason.NOT_TRAINED_ON)
            continue
        missing = [file for file in files if not file.is_file()]
        for file in missing:
            reading.refuse(
                category,
                f"'{file}' is missing, but the table of the splits names it. Extract "
                "the archive anew.",
                row.split,
            )
        if missing:
            continue
        if mask:
            check_lossless(reading, category, mask, row.split)
        elif row.label and masked:
            reading.refuse(
                category,
                f"The anomalous image '{image}' has no mask in the table of the "
                "splits, but others of its category do. Add it, or remove all masks.",
                row.split,
            )
        if not image.is_relative_to(reading.root):
            reading.refuse(
                category, f"{row.where} names '{image}', outside of '{reading.root}'."
            )
            continue
        reading.add(
            row.split,
            Sample(
                image=image,
                label=row.label,
                mask=mask,
                category=category,
                defect_type=DEFECT if row.label else NORMAL,
                path=reading.name_of(image),
            ),
        )


def expected_place(found: Rows, split: str) -> str:
    """Where the images of a split should be, for messages."""
    return f"the rows of {_TABLE.as_posix()} with the split {split}"
