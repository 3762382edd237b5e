import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keras_rlr.evaluation.drift.scored_row import ScoredRow

_PATH, _SCORE = "path", "anomaly_score"
_FILE = "scores.csv"
# A cell that is longer is no path.
_LONGEST_CELL = 1 << 20


@dataclass(frozen=True)
class ScoresTable:
    """What `keras-rlr predict` said of images, in order.

    Args:
        rows: List of `ScoredRow`s.
        names_products: Whether any of the tables has a column of products.
    """

    rows: list[ScoredRow]
    names_products: bool

    @classmethod
    def read(cls, places: Iterable[str | Path]) -> "ScoresTable":
        """Reads tables one after the other, as if they were one.

        Args:
            places: Files that `keras-rlr predict` wrote, or its output folders.

        Raises:
            FileNotFoundError: If there is no such table.
            ValueError: If a file is no such table, or has no rows.
        """
        rows: list[ScoredRow] = []
        names_products = False
        for place in places:
            found, has_products = _read(_file(Path(place)))
            rows += found
            names_products |= has_products
        return cls(rows, names_products)


def _file(place):
    if place.is_dir():
        if not (place / _FILE).is_file():
            raise FileNotFoundError(
                f"There is no {_FILE} in the folder '{place}'. Name the table that "
                "`keras-rlr predict` wrote, or its output folder."
            )
        return place / _FILE
    if not place.exists():
        raise FileNotFoundError(
            f"There is no table '{place}'. Name the {_FILE} that `keras-rlr predict` "
            "wrote, or its output folder."
        )
    if not place.is_file():  # A pipe may never end.
        raise ValueError(f"'{place}' is no file. Name a table, or its folder.")
    return place


def _read(file):
    # File names are bytes: those that are no UTF-8 are written as they are. A
    # spreadsheet may have put a mark at the beginning.
    text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    # A name may hold any end of line but those of tables.
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        columns = next(lines, [])
        _check_columns(file, columns)
        rows = [_row(file, lines.line_num, columns, c) for c in lines if c]
    except csv.Error as error:
        raise ValueError(
            f"'{file}' is no CSV table: line {lines.line_num}: {error}."
        ) from error
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise ValueError(f"The table '{file}' has no rows: there is nothing to judge.")
    return rows, "category" in columns


def _check_columns(file, columns):
    missing = [name for name in (_PATH, _SCORE) if name not in columns]
    if missing:
        shown = ", ".join(columns)
        has = f"has the columns {shown[:200]}" if shown else "is empty"
        raise ValueError(
            f"'{file}' {has}, and no column {' or '.join(missing)}. Expected a table "
            f"with commas between {_PATH}, {_SCORE}, error and perhaps category, as "
            "`keras-rlr predict` writes it."
        )
    again = {name for name in columns if columns.count(name) > 1}
    if again:
        raise ValueError(f"'{file}' has the column {min(again)!r} more than once.")


def _row(file, number, columns, cells):
    if len(cells) != len(columns):
        raise ValueError(
            f"Line {number} of '{file}' has {len(cells)} cells where the first line "
            f"has {len(columns)}."
        )
    values = dict(zip(columns, cells, strict=True))
    text = values[_SCORE].strip()
    try:
        score = float(text) if text else math.nan
    except ValueError:
        raise ValueError(
            f"Line {number} of '{file}': the {_SCORE} {text[:40]!r} is no number."
        ) from None
    return ScoredRow(
        values[_PATH], score, values.get("error", ""), values.get("category", "")
    )
