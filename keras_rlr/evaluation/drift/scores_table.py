import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keras_rlr.evaluation.drift.scored_row import ScoredRow
from keras_rlr.inputs.image_measures import MEASURES
from keras_rlr.read_table import read_table

_PATH, _SCORE = "path", "anomaly_score"
_FILE = "scores.csv"


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
    table = read_table(file, (_PATH, _SCORE), ("error", "category", *MEASURES))
    if not table.rows:
        raise ValueError(f"The table '{file}' has no rows: there is nothing to judge.")
    rows = [
        ScoredRow(
            cells[_PATH],
            _number(file, line, cells, _SCORE),
            cells.get("error", ""),
            cells.get("category", ""),
            {name: _number(file, line, cells, name) for name in MEASURES},
        )
        for line, cells in table.rows
    ]
    return rows, "category" in table.columns


def _number(file, line, cells, column):
    """The number of a cell; NaN where there is none."""
    text = cells.get(column, "").strip()
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise ValueError(
            f"Line {line} of '{file}': the {column} {text[:40]!r} is no number."
        ) from None
