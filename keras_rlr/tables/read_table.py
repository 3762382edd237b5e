import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_rlr.tables.read_csv import read_csv
from keras_rlr.tables.read_parquet import is_parquet, read_parquet
from keras_rlr.tables.table import Table

_CSV = "scores.csv"
_NAME_ONE = (
    f"Name the {_CSV} that `keras-rlr predict` wrote, the Parquet files of its "
    "`--engine ray`, or the output folder of either."
)
# While it is there, Ray has not scored all.
_WORK = "_work"


def read_table(
    place: str | Path,
    needed: Sequence[str],
    also: Sequence[str],
    others_allowed: bool = True,
) -> Table:
    """Reads a table that `keras-rlr predict` wrote, perhaps changed by people since.

    Args:
        place: A CSV or Parquet file; or a folder that has `scores.csv` or Parquet
            files. Of Parquet it may be an address, such as `s3://bucket/scores`.
        needed: Names of columns that it must have.
        also: Names of others that it may have.
        others_allowed: Whether it may have yet others.

    Returns:
        The `Table`.

    Raises:
        FileNotFoundError: If there is no such table.
        ImportError: If it is Parquet and pyarrow is not installed.
        ValueError: If it is no such table.
    """
    columns = (needed, also, others_allowed)
    if "://" in str(place):
        return read_parquet(place, _distant_files(str(place)), *columns)
    path = Path(place)
    if path.is_dir():
        parts = sorted(each for each in path.iterdir() if is_parquet(each.name))
        has_csv = (path / _CSV).is_file()
        if has_csv and parts:
            raise ValueError(
                f"The folder '{path}' has {_CSV} and {len(parts)} Parquet files: it is "
                "not clear which of them is meant. Move the other away, or name the "
                "file."
            )
        if has_csv:
            return read_csv(path / _CSV, *columns)
        if not parts:
            raise FileNotFoundError(
                f"There is no {_CSV} in the folder '{path}', and no Parquet file. "
                f"{_NAME_ONE}"
            )
        _warn_of_work((path / _WORK).exists(), place)
        opened = {each.name: functools.partial(each.open, "rb") for each in parts}
        return read_parquet(place, opened, *columns)
    if not path.exists():
        raise FileNotFoundError(f"There is no table '{path}'. {_NAME_ONE}")
    if not path.is_file():  # A pipe may never end.
        raise ValueError(f"'{path}' is no file. Name a table, or its folder.")
    if is_parquet(path.name):
        return read_parquet(
            place, {path.name: functools.partial(path.open, "rb")}, *columns
        )
    return read_csv(path, *columns)


def _distant_files(place: str) -> dict[str, Callable[[], Any]]:
    """What opens the Parquet files of an address, by their names."""
    from keras_rlr.addresses import open_place

    files, root = open_place(place)
    if files.isfile(root):
        found = [root]
    else:
        listed = files.ls(root, detail=False) if files.isdir(root) else []
        found = [path.rstrip("/") for path in listed]
    names = {path.rpartition("/")[2]: path for path in sorted(found)}
    parts = {name: path for name, path in names.items() if is_parquet(name)}
    if not parts:
        raise FileNotFoundError(f"There is no Parquet file at '{place}'. {_NAME_ONE}")
    _warn_of_work(_WORK in names, place)
    return {
        name: functools.partial(files.open, path, "rb") for name, path in parts.items()
    }


def _warn_of_work(is_there: bool, place: str | Path) -> None:
    if is_there:
        warnings.warn(
            f"Not all images of '{place}' are scored yet: what is there is read. The "
            "same `keras-rlr predict --engine ray` goes on.",
            stacklevel=3,
        )
