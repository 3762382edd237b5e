import csv
import io
from collections.abc import Sequence
from pathlib import Path

from keras_rlr.tables.table import Table, check_columns

# A cell that is longer is no path.
_LONGEST_CELL = 1 << 20


def read_csv(
    file: str | Path,
    needed: Sequence[str],
    also: Sequence[str],
    others_allowed: bool = True,
) -> Table:
    """Reads comma-separated values; empty lines are none.

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
        kind = "a table with commas between"
        check_columns(file, columns, needed, also, others_allowed, kind)
        for cells in lines:
            if not any(cells):
                continue
            if len(cells) != len(columns):
                raise ValueError(
                    f"Line {lines.line_num} of '{file}' has {len(cells)} cells where "
                    f"the first line has {len(columns)}."
                )
            row = dict(zip(columns, cells, strict=True))
            rows.append((f"line {lines.line_num}", row))
    except csv.Error as error:
        raise ValueError(
            f"'{file}' is no CSV table: line {lines.line_num}: {error}."
        ) from error
    finally:
        csv.field_size_limit(limit)
    return Table(tuple(columns), rows)
