"""Reads VisA's table of the splits, as published or saved anew by a spreadsheet."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from keras_rlr.datasets.folder_names import is_anomalous, is_normal

_COLUMNS = ("object", "split", "label", "image", "mask")
_DELIMITERS = ",;\t|"
_MARKS = (
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        category: the product.
        split: "train" or "test".
        label: 0 or 1.
        image: the image's file, below the folder of the table.
        mask: the mask's file, or None.
        where: the place of the row, for messages.
    """

    category: str
    split: str
    label: int
    image: PurePosixPath
    mask: PurePosixPath | None
    where: str


def read_table(path: Path) -> list[Row]:
    """Reads the table.

    It may have commas, semicolons or tabs between cells, any encoding of Unicode with
    or without a mark, other orders and cases of the columns, empty rows and columns,
    and backslashes in paths.

    Args:
        path: the file.

    Returns:
        Its rows, in order.

    Raises:
        ValueError: if a column is missing, or a row is malformed, or names an image of
            another label or object by its folders.
    """
    lines = _decode(path.read_bytes()).splitlines()
    first = 1
    if lines and re.fullmatch(r'"?sep=.?"?', lines[0].strip()):
        lines, first = lines[1:], 2
    delimiter = _delimiter(lines[0] if lines else "")
    reader = csv.reader(lines, delimiter=delimiter)
    header = [name.strip().casefold() for name in next(_lines_of(reader, path), [])]
    if set(_COLUMNS) - set(header):
        raise ValueError(
            f"'{path}' must have the columns {', '.join(_COLUMNS)}. It has "
            f"{', '.join(filter(None, header)) or 'none'}."
        )
    places = {name: header.index(name) for name in _COLUMNS}
    rows = []
    for cells in _lines_of(reader, path):
        cells = [cell.strip() for cell in cells]
        if any(cells):
            row = {n: cells[i] if i < len(cells) else "" for n, i in places.items()}
            rows.append(_row(row, f"Line {reader.line_num + first - 1} of '{path}'"))
    _refuse_contradictions(rows)
    return rows


def _refuse_contradictions(rows: list[Row]) -> None:
    """Refuses rows that say something else than the place of their images."""
    objects = {row.category for row in rows}
    for row in rows:
        *_, kind, _ = ("", *row.image.parts)
        top = row.image.parts[0]
        said = "anomaly" if row.label else "normal"
        if (is_normal if row.label else is_anomalous)(kind):
            says, place = f"has the label {said}", kind
        elif top in objects and top != row.category:
            says, place = f"is of the object {row.category}", top
        else:
            continue
        raise ValueError(
            f"{row.where} {says}, but its image '{row.image}' lies in '{place}'. "
            "Correct the row, or move the image."
        )


def _lines_of(reader: Any, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(
            f"Line {reader.line_num} of '{path}' can't be read: {error}. Restore it."
        ) from error


def _decode(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    if content[1:2] == b"\0":
        return content.decode("utf-16-le", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")  # what spreadsheets save else


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _row(row: dict[str, str], where: str) -> Row:
    split, label = row["split"].casefold(), row["label"].casefold()
    if split not in ("train", "test") or label not in ("normal", "anomaly"):
        raise ValueError(
            f"{where} must have the split train or test and the label normal or "
            f"anomaly. Received: {row['split']!r}, {row['label']!r}."
        )
    if not row["object"]:
        raise ValueError(f"{where} must name the object. Its cell is empty.")
    return Row(
        category=row["object"],
        split=split,
        label=int(label == "anomaly"),
        image=_below(row["image"], where),
        mask=_below(row["mask"], where) if row["mask"] else None,
        where=where,
    )


def _below(name: str, where: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"{where} must name a file below the data set's folder. Received: {name!r}."
        )
    return path
