"""Parts of a lake of images: each is scored by one worker and becomes one file."""

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from keras_rlr.addresses import local_path, open_place
from keras_rlr.batch.stored_image import StoredImage
from keras_rlr.datasets.image_files import read_image, read_image_bytes

# What a kill loses at most. Fewer than the images after which a `ValueRanges` speaks of
# all by itself, which is to be said once of the whole lake.
IMAGES_A_PART = 240


class Part(Protocol):
    """Some images that belong together."""

    @property
    def name(self) -> str:
        """The same for the same images, in every run."""

    @property
    def count(self) -> int:
        """Number of images."""

    @property
    def begins(self) -> tuple[str, int] | None:
        """By what parts are sorted; None where images are, by their names."""

    def images(self) -> Iterator[StoredImage]:
        """Yields the images in their order."""


@dataclass(frozen=True)
class FilePart:
    """Images that are files.

    Args:
        names: What results call them.
        places: Their paths or addresses.
    """

    names: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def name(self) -> str:
        """The same for the same images, in every run."""
        return _digest(self.names)

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.names)

    @property
    def begins(self) -> None:
        """None: images are sorted by their names."""

    def images(self) -> Iterator[StoredImage]:
        """Yields the images in their order."""
        for name, place in zip(self.names, self.places, strict=True):
            path = local_path(place)
            source = place if path is None else str(path)
            yield StoredImage(name, source, functools.partial(_load, place), True)


def part_to_json(part: Part) -> str:
    """Returns a part as text, for another process.

    Args:
        part: The part.
    """
    assert isinstance(part, FilePart | ParquetPart)
    return json.dumps({"kind": type(part).__name__, **dataclasses.asdict(part)})


def part_from_json(text: str) -> Part:
    """Returns the part of what `part_to_json` returned.

    Args:
        text: The text.
    """
    values = json.loads(text)
    if values.pop("kind") == ParquetPart.__name__:
        return ParquetPart(**values)
    return FilePart(**{name: tuple(value) for name, value in values.items()})


def _load(place: str) -> np.ndarray:
    path = local_path(place)
    if path is not None:
        return read_image(path)
    files, within = open_place(place)
    return read_image_bytes(files.cat_file(within), place)


@dataclass(frozen=True)
class ParquetPart:
    """Rows of a row group of a Parquet file that holds encoded images.

    Args:
        place: The file's path or address.
        size: Its bytes: another file by the same name is another part.
        row_group: Number of the row group.
        first_row: The row of the file that the row group begins with.
        start: The first row, within the row group.
        stop: The row after the last.
        image_column: Name of the column with the images, of bytes or of structs
            with `bytes`.
        path_column: Name of the column with what results call them, or None: they are
            then `FILE#ROW`.
    """

    place: str
    size: int
    row_group: int
    first_row: int
    start: int
    stop: int
    image_column: str
    path_column: str | None

    @property
    def name(self) -> str:
        """The same for the same images, in every run."""
        return _digest([self.place, self.size, self.row_group, self.start, self.stop])

    @property
    def count(self) -> int:
        """Number of images."""
        return self.stop - self.start

    @property
    def begins(self) -> tuple[str, int]:
        """The table, and the row of it that the first image is in."""
        return self.place, self.first_row + self.start

    def images(self) -> Iterator[StoredImage]:
        """Yields the images in their order."""
        rows = itertools.islice(self._rows(), self.start, self.stop)
        first = self.first_row + self.start
        for i in range(first, first + self.count):
            here = f"{self.place}#{i}"
            try:
                image, path = next(rows)
            except (OSError, ValueError) as error:
                # What has a number is of the system, and stops the scoring: all would
                # fail. Else pyarrow finds the file damaged, and others may be whole.
                if getattr(error, "errno", None) is not None:
                    raise
                yield from self._lost(i, error)
                return
            if isinstance(image, dict):
                path = path or image.get("path")
                image = image.get("bytes")
            name = str(path or here)
            load = functools.partial(_decode, image, name)
            yield StoredImage(name, name, load, False)

    def _lost(self, first: int, error: Exception) -> Iterator[StoredImage]:
        """Yields the images from a row on that can't be had from the file."""
        for i in range(first, self.first_row + self.stop):
            here = f"{self.place}#{i}"
            yield StoredImage(
                here, here, functools.partial(_refuse, here, error), False
            )

    def _rows(self) -> Iterator[tuple[Any, Any]]:
        import pyarrow.parquet

        columns = [self.image_column, *filter(None, [self.path_column])]
        files, within = open_place(self.place)
        with files.open(within, "rb") as file:
            batches = pyarrow.parquet.ParquetFile(file).iter_batches(
                batch_size=16, row_groups=[self.row_group], columns=columns
            )
            seen = 0
            for batch in batches:
                seen += batch.num_rows
                if seen <= self.start:
                    # They need not become objects of Python.
                    yield from itertools.repeat((None, None), batch.num_rows)
                    continue
                table = batch.to_pydict()
                names = itertools.repeat(None)
                paths = table[self.path_column] if self.path_column else names
                yield from zip(table[self.image_column], paths, strict=False)


def _decode(content: bytes | None, name: str) -> np.ndarray:
    if content is None:
        raise ValueError(f"'{name}' has no image: the value is null.")
    return read_image_bytes(content, name)


def _refuse(name: str, error: Exception) -> np.ndarray:
    raise ValueError(
        f"'{name}' can't be read: its Parquet file is damaged in the row group of this "
        f"row ({str(error).strip()}). Restore the file."
    )


def _digest(values: Any) -> str:
    text = json.dumps(values).encode("utf-8")
    return hashlib.sha256(text).hexdigest()[:32]
