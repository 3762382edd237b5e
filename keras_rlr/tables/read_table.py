import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rlr.addresses import is_address, open_place
from keras_rlr.tables.read_csv import read_csv
from keras_rlr.tables.read_parquet import SUFFIXES, is_parquet, read_parquet
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
            files, or folders with parts that are called like such a file. Of Parquet
            it may be an address, such as `s3://bucket/scores`.
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
    if is_address(str(place)):
        return read_parquet(place, _distant_files(str(place)), *columns)
    path = Path(place)
    if path.is_dir():
        parts = _local_files(path)
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
        opened = {
            name: functools.partial(file.open, "rb") for name, file in parts.items()
        }
        return read_parquet(place, opened, *columns)
    if not path.exists():
        raise FileNotFoundError(f"There is no table '{path}'. {_NAME_ONE}")
    if not path.is_file():  # A pipe may never end.
        raise ValueError(f"'{path}' is no file. Name a table, or its folder.")
    # Who names a file means it, whatever its name begins with.
    if path.suffix.lower() in SUFFIXES:
        return read_parquet(
            place, {path.name: functools.partial(path.open, "rb")}, *columns
        )
    return read_csv(path, *columns)


def _local_files(folder: Path) -> dict[str, Path]:
    """The Parquet files of a folder, by their names."""
    found = {}
    for each in sorted(folder.iterdir()):
        if not is_parquet(each.name):
            continue
        if not each.is_dir():
            found[each.name] = each
            continue
        # So Spark and Dask write a table.
        parts = _local_files(each)
        _check_parts(parts, each)
        found |= {f"{each.name}/{name}": file for name, file in parts.items()}
    return found


def _distant_files(place: str) -> dict[str, Callable[[], Any]]:
    """What opens the Parquet files of an address, by their names."""
    files, root = open_place(place)
    if files.isfile(root):
        named = root.rpartition("/")[2]
        parts = {named: root} if named.lower().endswith(SUFFIXES) else {}
    else:
        parts = _parts_of(files, root, place)
    if not parts:
        raise FileNotFoundError(f"There is no Parquet file at '{place}'. {_NAME_ONE}")
    _warn_of_work(files.isdir(f"{root}/{_WORK}"), place)
    return {
        name: functools.partial(files.open, path, "rb") for name, path in parts.items()
    }


def _parts_of(files: Any, folder: str, place: str) -> dict[str, str]:
    """As `_local_files`, of an fsspec file system."""
    found: dict[str, str] = {}
    listed = files.ls(folder, detail=True) if files.isdir(folder) else []
    for each in sorted(listed, key=lambda each: each["name"]):
        path = each["name"].rstrip("/")
        name = path.rpartition("/")[2]
        # Object stores may list a folder in itself.
        if not is_parquet(name) or path == folder.rstrip("/"):
            continue
        if each["type"] != "directory":
            found[name] = path
            continue
        parts = _parts_of(files, path, f"{place}/{name}")
        _check_parts(parts, f"{place}/{name}")
        found |= {f"{name}/{part}": file for part, file in parts.items()}
    return found


def _check_parts(parts: Mapping[str, Any], folder: str | Path) -> None:
    if not parts:
        raise FileNotFoundError(
            f"The folder '{folder}' is called like a Parquet file and has none. Take "
            "it away, or name the folder that has them."
        )


def _warn_of_work(is_there: bool, place: str | Path) -> None:
    if is_there:
        warnings.warn(
            f"Not all images of '{place}' are scored yet: what is there is read. The "
            "same `keras-rlr predict --engine ray` goes on.",
            stacklevel=3,
        )
