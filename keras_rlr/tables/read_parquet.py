"""Parquet files that `keras-rlr predict --engine ray` wrote, or people since."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rlr.tables.table import Table, check_columns

SUFFIXES = (".parquet", ".pq")
# In the metadata of a part of results, what its rows come after; see `order_metadata`.
_ORDER = b"keras_rlr.order"
# What pandas calls an index that has no name.
_INDEX = re.compile(r"__index_level_\d+__")


def is_parquet(name: str) -> bool:
    """Whether a file is a table of Parquet, and no note about some.

    Args:
        name: The file's name.
    """
    return name.lower().endswith(SUFFIXES) and not name.startswith((".", "_"))


def order_metadata(begins: Sequence[Any] | None) -> dict[bytes, bytes]:
    """What a part of results says of the order of its rows among all.

    Args:
        begins: Where its first image was, such as a table's name and a row of it:
            parts are in this order. None if all rows are in that of their paths.
    """
    return {_ORDER: json.dumps(begins).encode()}


def read_parquet(
    place: str | Path,
    files: Mapping[str, Callable[[], Any]],
    needed: Sequence[str],
    also: Sequence[str],
    others_allowed: bool = True,
) -> Table:
    """Reads Parquet files as one table, in the order of the images that were scored.

    Files that say nothing of it come as they are, one after the other.

    Args:
        place: Where they are, for messages.
        files: What opens each of them, by their names.
        needed: Names of columns that they must have.
        also: Names of others that they may have.
        others_allowed: Whether they may have yet others, which are not read.

    Returns:
        The `Table`.

    Raises:
        ImportError: If pyarrow is not installed.
        ValueError: If they are no such tables.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            f"'{place}' is a table of Parquet, which needs a package that is not "
            f"installed ({error}). Install it with `pip install pyarrow`."
        ) from error
    found: dict[str, None] = {}
    parts = []
    for name, open_file in files.items():
        here = str(place) if len(files) == 1 else f"{place}/{name}"
        with open_file() as file:
            try:
                table = pyarrow.parquet.ParquetFile(file)
                schema = table.schema_arrow
                columns = [c for c in schema.names if not _INDEX.fullmatch(c)]
                check_columns(here, columns, needed, also, others_allowed, "columns")
                chosen = [c for c in columns if c in (*needed, *also)]
                _check_kinds(here, schema, chosen)
                values = table.read(chosen).to_pydict()
            except (pyarrow.ArrowException, OSError) as error:
                raise ValueError(
                    f"'{here}' can't be read as a Parquet file: {error}. Restore it, "
                    "or take it away."
                ) from error
        found |= dict.fromkeys(chosen)
        texts = [list(map(_text, values[column])) for column in chosen]
        own = [
            dict(zip(chosen, cells, strict=True)) for cells in zip(*texts, strict=True)
        ]
        parts.append((_order(schema), own))
    return Table(tuple(found), list(enumerate(_in_order(parts), 1)), "row")


def _check_kinds(here, schema, columns):
    from pyarrow import types

    for column in columns:
        kind = schema.field(column).type
        is_bytes = types.is_binary(kind) or types.is_large_binary(kind)
        if is_bytes or types.is_nested(kind):
            raise ValueError(
                f"The column {column!r} of '{here}' is of {kind}. Expected texts or "
                "numbers."
            )


def _text(value):
    """The cell as `scores.csv` has it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _order(schema):
    """What `order_metadata` was given; "" where a file says nothing."""
    said = (schema.metadata or {}).get(_ORDER)
    return "" if said is None else json.loads(said)


def _in_order(parts):
    """The rows of all parts."""
    silent = [row for order, own in parts if order == "" for row in own]
    by_path = [row for order, own in parts if order is None for row in own]
    # `predict` sorts so before it marks names that look like formulas.
    by_path.sort(key=lambda row: row["path"].removeprefix("./"))
    others = [part for part in parts if part[0]]
    others.sort(key=lambda part: part[0])
    return silent + by_path + [row for _, own in others for row in own]
