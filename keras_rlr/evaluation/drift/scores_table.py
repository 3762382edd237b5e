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
        notes: What is to be said of how they were read, in sentences.
    """

    rows: list[ScoredRow]
    names_products: bool
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, places: Iterable[str | Path]) -> "ScoresTable":
        """Reads tables one after the other, as if they were one.

        What is in them twice counts once, since tests are of independent images: rows
        that are equal in all that is read of them, path, score, measures and so on.

        Args:
            places: Files that `keras-rlr predict` wrote, `scores.csv` or Parquet, or
                its output folders; see `read_table`.

        Raises:
            FileNotFoundError: If there is no such table.
            ImportError: If one is Parquet and pyarrow is not installed.
            ValueError: If a file is no such table, or has no rows.
        """
        rows: dict[tuple[str, ...], ScoredRow] = {}
        repeated: list[str] = []
        notes: list[str] = []
        names_products = False
        for place in places:
            found, has_products = _read(place)
            names_products |= has_products
            here: dict[str, None] = {}
            again: list[str] = []
            for row in found:
                if row.facts in rows:
                    repeated.append(row.path)
                    continue
                # Another table may be of other images of the same names.
                if row.path in here:
                    again.append(row.path)
                here[row.path] = None
                rows[row.facts] = row
            if again:
                notes.append(
                    f"Of '{place}' {_rows(again)} the path of an earlier row with "
                    "another score, and count as other images. The first is "
                    f"'{again[0]}'."
                )
        if repeated:
            notes.append(
                f"Of all tables {_rows(repeated)} the path, the score and all else of "
                "an earlier row: each image counts once. The first is "
                f"'{repeated[0]}'. A table may have been given twice."
            )
        return cls(list(rows.values()), names_products, tuple(notes))


def _rows(paths):
    return "1 row has" if len(paths) == 1 else f"{len(paths)} rows have"


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
