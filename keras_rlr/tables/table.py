from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """A table with a head.

    Args:
        columns: The names of its columns.
        rows: Pairs of where a row is, such as "line 7" or "row 7 of part-1.parquet",
            and its cells by column, as text; those of a column that is not there are
            missing.
        unordered: Number of files with results of several that say nothing of the
            order of their images, though others of their kind do.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, dict[str, str]]]
    unordered: int = 0


def check_columns(
    place: str | Path,
    columns: Sequence[str],
    needed: Sequence[str],
    also: Sequence[str],
    others_allowed: bool,
    kind: str,
) -> None:
    """Refuses a table that lacks columns, or has some that nobody knows.

    Args:
        place: The table, for messages.
        columns: Names of its columns.
        needed: Those that it must have.
        also: Others that it may have.
        others_allowed: Whether it may have yet others.
        kind: What was expected, before their names.

    Raises:
        ValueError: If it does.
    """
    if problem := _problem(columns, needed, () if others_allowed else also):
        raise ValueError(
            f"'{place}' {problem}. Expected {kind} {' and '.join(needed)}, and "
            f"perhaps {', '.join(also)}, as `keras-rlr predict` writes them."
        )


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
