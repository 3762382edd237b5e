import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keras_rlr.evaluation.drift.scored_row import ScoredRow
from keras_rlr.inputs.image_measures import MEASURES
from keras_rlr.tables.read_table import read_table

_PATH, _SCORE = "path", "anomaly_score"
_CATEGORY, _COMPARABLE = "category", "comparable_score"


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
            places: Files that `keras-rlr predict` wrote, `scores.csv` or Parquet, or
                its output folders; see `read_table`.

        Raises:
            FileNotFoundError: If there is no such table.
            ImportError: If one is Parquet and pyarrow is not installed.
            ValueError: If a file is no such table, or has no rows.
        """
        rows: list[ScoredRow] = []
        names_products = False
        for place in places:
            found, has_products = _read(place)
            rows += found
            names_products |= has_products
        return cls(rows, names_products)


def _read(file):
    also = ("error", _CATEGORY, _COMPARABLE, *MEASURES)
    table = read_table(file, (_PATH, _SCORE), also)
    if not table.rows:
        raise ValueError(f"The table '{file}' has no rows: there is nothing to judge.")
    if table.unordered:
        warnings.warn(
            f"{table.unordered} Parquet files of '{file}' were written by an earlier "
            "version and don't say where their images were: they come first, by the "
            "files' names, so images of a window did not follow each other. Take those "
            "files away, and the same `keras-rlr predict --engine ray` scores their "
            "images again.",
            stacklevel=3,
        )
    rows = [
        ScoredRow(
            cells[_PATH],
            _number(file, where, cells, _SCORE),
            cells.get("error", ""),
            cells.get(_CATEGORY, ""),
            {name: _number(file, where, cells, name) for name in MEASURES},
        )
        for where, cells in table.rows
    ]
    # Parquet always has the columns; where they are of products that the model
    # recognises, scores are comparable too.
    names_products = _CATEGORY in table.columns and (
        _COMPARABLE not in table.columns
        or any(cells.get(_COMPARABLE) for _, cells in table.rows)
    )
    return rows, names_products


def _number(file, where, cells, column):
    """The number of a cell; NaN where there is none."""
    text = cells.get(column, "").strip()
    try:
        return float(text) if text else math.nan
    except ValueError:
        where = where[0].upper() + where[1:]
        raise ValueError(
            f"{where} of '{file}': the {column} {text[:40]!r} is no number."
        ) from None
