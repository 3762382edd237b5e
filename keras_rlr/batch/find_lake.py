"""Finds what is to be scored: folders, Parquet files, and addresses of both."""

import warnings
from pathlib import Path
from typing import Any

from keras_rlr.addresses import is_address, local_path, open_place
from keras_rlr.batch.lake import FileLake, Lake, ParquetLake
from keras_rlr.batch.parts import IMAGES_A_PART, ParquetPart
from keras_rlr.datasets import account_for_images
from keras_rlr.datasets.image_files import IMAGE_SUFFIXES, SUFFIXES_IN_WORDS
from keras_rlr.datasets.left_out import LeftOut, Reason
from keras_rlr.datasets.prediction_record import RECORD, names_beside
from keras_rlr.datasets.tree import is_hidden_image
from keras_rlr.evaluation.prediction import path_below
from keras_rlr.printable import name_some
from keras_rlr.tables.read_parquet import SUFFIXES, is_parquet

_PATHS = "path"


def find_lake(place: str, column: str | None = None, output: str = "") -> Lake:
    """Finds the images of a place.

    Args:
        place: A path or address: of an image, of a folder of images or of Parquet
            files, or of a Parquet file.
        column: The column of Parquet files that holds the images, encoded, or their
            paths; None for the only one that can be it.
        output: Where results are, which are never read as a lake.

    Raises:
        FileNotFoundError: If there are no images.
        ValueError: If a Parquet file can't be read, or it is not clear which column
            holds the images.
    """
    path = local_path(place)
    if path is not None:
        tables, folder = _local_tables(path, local_path(output) if output else None)
    else:
        tables, folder = _distant_tables(place, output)
    if tables:
        return _of_tables(tables, column)
    if column is not None:
        raise ValueError(
            f"A column was named ({column!r}), but '{place}' holds no Parquet files."
        )
    return FileLake(folder)


def _local_tables(path: Path, output: Path | None) -> tuple[list[str], dict[str, str]]:
    """The Parquet files of a place, or if there are none its images."""
    if not path.exists():
        raise FileNotFoundError(
            f"There is no '{path}'. Give an image, a folder, a Parquet file, or an "
            "address such as s3://bucket/folder."
        )
    if path.is_file():
        if path.suffix.lower() in SUFFIXES:
            return [str(path)], {}
        return [], {_printable(path_below(path, path.parent)): str(path)}
    account = account_for_images(path)
    left_out, tables = LeftOut(path), []
    own = output.resolve() if output else None
    for reason, names in account.left_out.by_reason.items():
        for name in names:
            file = path / name
            if own and file.resolve().is_relative_to(own):
                continue
            if reason is Reason.UNKNOWN and not account.images and _is_table(name):
                tables.append(str(file))
            else:
                left_out.add(name, reason)
    if not account.images and not tables:
        raise _nothing(str(path))
    if summary := left_out.summary():
        warnings.warn(summary, stacklevel=4)
    if tables:
        return sorted(tables), {}
    found = {_printable(path_below(p, path)): str(p) for p in account.images}
    return [], found


def _is_table(name: str) -> bool:
    """Whether a file is a table of a folder of Parquet files, and no note about it."""
    *folders, file = name.split("/")
    return is_parquet(file) and not any(part.startswith("_") for part in folders)


def _printable(name: str) -> str:
    """File names are bytes, and texts of Parquet files are UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _distant_tables(place: str, output: str) -> tuple[list[str], dict[str, str]]:
    files, root = open_place(place)
    found = sorted(files.find(root))
    if not found:
        raise FileNotFoundError(f"There is nothing at '{place}'. Check the address.")
    if found == [root]:
        # Who names a file means it, whatever its name begins with.
        if root.lower().endswith(SUFFIXES):
            return [files.unstrip_protocol(root)], {}
        root = root.rpartition("/")[0]
    own = None
    if is_address(output):
        others, within = open_place(output)
        own = f"{others.unstrip_protocol(within)}/"
    names = {path.removeprefix(root).lstrip("/"): path for path in found}
    names = {
        name: files.unstrip_protocol(path)
        for name, path in names.items()
        if own is None or not files.unstrip_protocol(path).startswith(own)
    }
    hidden = {n for n in names if any(p.startswith(".") for p in n.split("/"))}
    results = set()
    for name, address in names.items():
        folder, slash, file = name.rpartition("/")
        if file == RECORD and not f"/{folder}".count("/."):
            beside = names_beside(address, files.cat_file(address))
            results |= {f"{folder}{slash}{each}" for each in beside}
    left = hidden | results
    images = {
        name: address
        for name, address in names.items()
        if name.lower().endswith(IMAGE_SUFFIXES) and name not in left
    }
    tables = {n: a for n, a in names.items() if _is_table(n) and n not in hidden}
    left_out = LeftOut(Path(place))
    for name in names.keys() - (images or tables).keys():
        reason = Reason.RESULT if name in results else Reason.UNKNOWN
        if name in hidden:
            is_image = is_hidden_image(name.rpartition("/")[2])
            reason = Reason.HIDDEN_IMAGE if is_image else Reason.HIDDEN
        left_out.add(name, reason)
    if not images and not tables:
        raise _nothing(place)
    if summary := left_out.summary():
        warnings.warn(summary, stacklevel=4)
    return ([], images) if images else (list(tables.values()), {})


def _nothing(place: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"There are no images in '{place}'. Expected {SUFFIXES_IN_WORDS} files, or "
        ".parquet files, there or in folders below."
    )


def _of_tables(tables: list[str], column: str | None) -> Lake:
    import pyarrow.parquet

    parts: list[ParquetPart] = []
    places: dict[str, str] = {}
    again: list[str] = []
    for place in tables:
        files, within = open_place(place)
        with files.open(within, "rb") as file:
            try:
                table = pyarrow.parquet.ParquetFile(file)
            except (pyarrow.ArrowException, OSError) as error:
                raise ValueError(
                    f"'{place}' can't be read as a Parquet file: {error}. Restore it, "
                    "or take it away."
                ) from error
            if not table.metadata.num_rows:
                # What writes a table of nothing may not know the kinds of its columns.
                continue
            name, holds_images = _image_column(place, table.schema_arrow, column)
            if holds_images:
                size = files.size(within)
                parts += _parts_of(place, size, table, name)
                continue
            for group in range(table.num_row_groups):
                rows = table.read_row_group(group, [name])[name].to_pylist()
                for path in rows:
                    if path is None:
                        raise ValueError(
                            f"The column {name!r} of '{place}' has a row without a "
                            "path. Take it away, or fill it in."
                        )
                    if path in places:
                        again.append(path)
                    places[path] = _resolved(path, place)
    if parts and places:
        raise ValueError(
            "Some of the Parquet files hold images and some hold paths. Score them one "
            f"after the other: {name_some(tables, 3)}."
        )
    if again:
        warnings.warn(
            f"{len(again)} rows name an image that another row names too: "
            f"{name_some(again, 3)}. Each image is scored once.",
            stacklevel=4,
        )
    if not parts and not places:
        raise FileNotFoundError(f"The Parquet files are empty: {name_some(tables, 3)}.")
    return ParquetLake(tuple(parts)) if parts else FileLake(places)


def _resolved(path: str, table: str) -> str:
    """Where an image is that a Parquet file names: relative paths start beside it."""
    if is_address(path) or path.startswith("/"):
        return path
    if is_address(table):
        return f"{table.rpartition('/')[0]}/{path}"
    return str(Path(table).absolute().parent / path)


def _image_column(place: str, schema: Any, wanted: str | None) -> tuple[str, bool]:
    """The column with the images, and whether it holds them and not their paths."""
    kinds = {field.name: _kind(field.type) for field in schema}
    if wanted is not None:
        if wanted not in kinds:
            raise ValueError(
                f"'{place}' has no column {wanted!r}. It has {', '.join(kinds)}."
            )
        if kinds[wanted] is None:
            raise ValueError(
                f"The column {wanted!r} of '{place}' holds neither encoded images nor "
                "paths. Name one of bytes, of structs with `bytes`, or of texts."
            )
        return wanted, kinds[wanted] == "images"
    for kind in ("images", "paths"):
        names = [name for name, its_kind in kinds.items() if its_kind == kind]
        # Of several texts one may be called like it.
        if kind == "paths" and _PATHS in names:
            names = [_PATHS]
        if len(names) == 1:
            return names[0], kind == "images"
        if names:
            raise ValueError(
                f"'{place}' has several columns that may hold the images: "
                f"{', '.join(names)}. Name the one that does (--image-column)."
            )
    raise ValueError(
        f"'{place}' has no column of bytes, of structs with `bytes`, or of paths: "
        f"{', '.join(kinds)}."
    )


def _kind(kind: Any) -> str | None:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_struct(kind):
        return "images" if kind.get_field_index("bytes") >= 0 else None
    if types.is_binary(kind) or types.is_large_binary(kind):
        return "images"
    if types.is_string(kind) or types.is_large_string(kind):
        return "paths"
    return None


def _parts_of(place: str, size: int, table: Any, column: str) -> list[ParquetPart]:
    names = table.schema_arrow.names
    has_paths = _PATHS in names and column != _PATHS
    if has_paths and _kind(table.schema_arrow.field(_PATHS).type) != "paths":
        has_paths = False
    parts, first_row = [], 0
    for group in range(table.num_row_groups):
        rows = table.metadata.row_group(group).num_rows
        for start in range(0, rows, IMAGES_A_PART):
            part = ParquetPart(
                place=place,
                size=size,
                row_group=group,
                first_row=first_row,
                start=start,
                stop=min(start + IMAGES_A_PART, rows),
                image_column=column,
                path_column=_PATHS if has_paths else None,
            )
            parts.append(part)
        first_row += rows
    return parts
