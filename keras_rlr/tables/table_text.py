import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def table_text(rows: Iterable[Sequence[Any]]) -> str:
    r"""Returns rows as comma-separated values, a line each that ends in "\n".

    A carriage return is quoted, which the writer of Python 3.11 forgets: names of
    files may have one, and readers would take it for the end of the row.

    Args:
        rows: The cells of each row, the head first.

    Example:

    >>> table_text([("path", "score"), ("a,b.png", 0.5)])
    'path,score\n"a,b.png",0.5\n'
    """
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        odd = any("\r" in cell for cell in row if isinstance(cell, str))
        (quoting if odd else plain).writerow(row)
    return text.getvalue()
