"""Tables that `keras-rlr predict` wrote, perhaps changed by people since."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A cell that is longer is no path.
_LONGEST_CELL = 1 << 20


@dataclass(frozen=True)
class Table:
    """A table with a head.

    Args:
        columns: The names of its columns.
        rows: Pairs of a line's number and its cells by column; empty lines are none.
    """

    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]


def read_table(
    file: str | Path,
    needed: Sequence[str],
    also: Sequence[str],
    others_allowed: bool = True,
) -> Table:
    """Reads comma-separated values.

    Args:
        file: The file.
        needed: Names of columns that it must have.
        also: Names of others that it may have, for messages.
        others_allowed: Whether it may have yet others.

    Returns:
        The `Table`.

    Raises:
        ValueError: If it is no such table.
    """
    # File names are bytes: those that are no UTF-8 are written as they are. A
    # spreadsheet may have put a mark at the beginning.
    text = Path(file).read_bytes().decode("utf-8-sig", "surrogateescape")
    # A name may hold any end of line but those of tables.
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    limit = csv.field_size_limit(_LONGEST_CELL)
    rows = []
    try:
        columns = [column.strip() for column in next(lines, [])]
        if problem := _problem(columns, needed, () if others_allowed else also):
            raise ValueError(
                f"'{file}' {problem}. Expected a table with commas between "
                f"{' and '.join(needed)}, and perhaps {', '.join(also)}, as "
                "`keras-rlr predict` writes it."
            )
        for cells in lines:
            if not any(cells):
                continue
            if len(cells) != len(columns):
                raise ValueError(
                    f"Line {lines.line_num} of '{file}' has {len(cells)} cells where "
                    f"the first line has {len(columns)}."
                )
            rows.append((lines.line_num, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise ValueError(
            f"'{file}' is no CSV table: line {lines.line_num}: {error}."
        ) from error
    finally:
        csv.field_size_limit(limit)
    return Table(tuple(columns), rows)


def _problem(columns, needed, allowed):
    """What is wrong with the head of a table, or ""."""
    if not columns:
        return "is empty"
    missing = [name for name in needed if name not in columns]
    if missing:
        shown = ", ".join(columns)[:200]
        return f"has the columns {shown}, and no column {' or '.join(missing)}"
    again = {name for name in columns if columns.count(name) > 1}
    if again:
        return f"has the column {min(again)!r} more than once"
    unknown = [name for name in columns if name not in (*needed, *allowed)]
    if allowed and unknown:
        names = ", ".join(repr(name) for name in unknown)[:200]
        return f"has {len(unknown)} unknown column{'s'[: len(unknown) > 1]} ({names})"
    return ""
