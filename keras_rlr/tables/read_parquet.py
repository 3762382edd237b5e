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
# Names that `predict --engine ray` gives by what is in a part, and not by its place.
_PART = re.compile(r"(.*/)?part-[0-9a-f]{32}\.parquet")
# What pandas calls an index that has no name.
_INDEX = re.compile(r"__index_level_\d+__")


def is_parquet(name: str) -> bool:
    """Whether what a folder holds is a table of Parquet, and no note about some.

    Args:
        name: The name of the file, or of a folder with its parts.
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

    Files that say nothing of it come first as they are, one after the other.

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
    unordered = 0
    for name, open_file in files.items():
        here = str(place) if len(files) == 1 else f"{place}/{name}"
        try:
            with open_file() as file:
                table = pyarrow.parquet.ParquetFile(file)
                schema = table.schema_arrow
                columns = [c for c in schema.names if not _INDEX.fullmatch(c)]
                check_columns(here, columns, needed, also, others_allowed, "columns")
                chosen = [c for c in columns if c in (*needed, *also)]
                _check_kinds(here, schema, chosen)
                values = table.read(chosen).to_pydict()
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(
                f"'{here}' can't be read as a Parquet file: {error}. Restore it, or "
                "take it away."
            ) from error
        found |= dict.fromkeys(chosen)
        texts = [list(map(_text, values[column])) for column in chosen]
        of_file = "" if len(files) == 1 else f" of {name}"
        own = [
            (f"row {i}{of_file}", dict(zip(chosen, cells, strict=True)))
            for i, cells in enumerate(zip(*texts, strict=True), 1)
        ]
        order = _order(here, schema)
        unordered += order == "" and len(files) > 1 and bool(_PART.fullmatch(name))
        parts.append((order, own))
    return Table(tuple(found), _in_order(place, parts), unordered)


def _check_kinds(here, schema, columns):
    from pyarrow import types

    for column in columns:
        kind = schema.field(column).type
        if types.is_dictionary(kind):
            kind = kind.value_type
        is_bytes = "binary" in str(kind)  # large, of a fixed size, and views of it
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


def _order(here, schema):
    """What `order_metadata` was given; "" where a file says nothing."""
    said = (schema.metadata or {}).get(_ORDER)
    if said is None:
        return ""
    try:
        return json.loads(said)
    except ValueError as error:
        raise _unknown_order(here) from error


def _in_order(place, parts):
    """The rows of all parts."""
    silent = [row for order, own in parts if order == "" for row in own]
    by_path = [row for order, own in parts if order is None for row in own]
    # `predict` sorts so before it marks names that look like formulas.
    by_path.sort(key=lambda row: row[1]["path"].removeprefix("./"))
    others = [part for part in parts if part[0] not in ("", None)]
    try:
        others.sort(key=lambda part: part[0])
    except TypeError as error:
        raise _unknown_order(place) from error
    return silent + by_path + [row for _, own in others for row in own]


def _unknown_order(place):
    return ValueError(
        f"'{place}' says what this version does not know of the order of its rows "
        f"({_ORDER.decode()} in the metadata). Read it with the version that wrote it, "
        "or score the images again."
    )
