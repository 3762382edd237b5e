"""All images that are to be scored: files, or rows of Parquet files."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from keras_rlr.batch.parts import IMAGES_A_PART, FilePart, ParquetPart, Part


class Lake(Protocol):
    """All images that are to be scored."""

    @property
    def count(self) -> int:
        """Number of images."""

    def parts(self, results: Any) -> list[Part]:
        """The parts that a `ResultFolder` does not have yet."""

    def drop_failed(self, results: Any) -> None:
        """Has a `ResultFolder` forget what could not be read or scored."""


@dataclass(frozen=True)
class FileLake:
    """Images that are files.

    Args:
        places: The path or address of each, by what results call it.
    """

    places: dict[str, str]

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.places)

    def parts(self, results: Any) -> list[Part]:
        """The parts that a `ResultFolder` does not have yet, image by image."""
        done: Collection[str] = results.image_names()
        names = [name for name in self.places if name not in done]
        parts = []
        for start in range(0, len(names), IMAGES_A_PART):
            chosen = tuple(names[start : start + IMAGES_A_PART])
            parts.append(FilePart(chosen, tuple(map(self.places.__getitem__, chosen))))
        return list(parts)

    def drop_failed(self, results: Any) -> None:
        """Has a `ResultFolder` forget what could not be read or scored."""
        results.drop_failed(whole_parts=False)


@dataclass(frozen=True)
class ParquetLake:
    """Encoded images in Parquet files.

    Args:
        all_parts: All parts.
    """

    all_parts: tuple[ParquetPart, ...]

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(part.count for part in self.all_parts)

    def parts(self, results: Any) -> list[Part]:
        """The parts that a `ResultFolder` does not have yet."""
        done: Collection[str] = results.part_names()
        return [part for part in self.all_parts if part.name not in done]

    def drop_failed(self, results: Any) -> None:
        """Has a `ResultFolder` forget the parts with what could not be scored."""
        results.drop_failed(whole_parts=True)
