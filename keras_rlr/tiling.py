"""How an image is cut into overlapping tiles: whose each pixel is, and how much."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rlr.image_size import ImageSize, height_and_width

DEFAULT_OVERLAP = 0.25


@dataclass(frozen=True)
class Tiling:
    """Rows and columns of tiles of one size, neighbours of which overlap.

    Args:
        rows: number of tiles from top to bottom.
        columns: number of tiles from left to right.
        height: of a tile, in pixels.
        width: of a tile, in pixels.
        overlaps: pixels that two neighbours have in common, from top to bottom and
            from left to right; at most half a tile, so that no pixel is in three.
    """

    rows: int
    columns: int
    height: int
    width: int
    overlaps: tuple[int, int]

    @classmethod
    def of(cls, tiles: Any, overlap: Any, image_size: ImageSize) -> "Tiling":
        """Returns the tiling of what a user gave.

        Args:
            tiles: (rows, columns).
            overlap: what neighbours have in common: a share of a tile's side below 1,
                or a whole number of pixels.
            image_size: size of a tile.

        Raises:
            ValueError: if either is no such thing; it says what would be.
        """
        rows, columns = checked_tiles(tiles)
        height, width = height_and_width(image_size)
        overlap = checked_overlap(overlap)
        # A share of both sides; pixels are pixels.
        given = (overlap * height, overlap * width) if overlap < 1 else (overlap,) * 2
        vertical, horizontal = map(round, given)
        if 2 * vertical > height or 2 * horizontal > width:
            raise ValueError(
                "`overlap` may be at most half a tile, so that no pixel is in three of "
                f"a row. Received {overlap!r} for tiles of {height}x{width} pixels."
            )
        overlaps = (vertical if rows > 1 else 0, horizontal if columns > 1 else 0)
        return cls(rows, columns, height, width, overlaps)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return self.rows * self.columns

    @property
    def whole_size(self) -> tuple[int, int]:
        """(height, width) of what all tiles cover together."""
        down, right = self.overlaps
        return (
            self.rows * (self.height - down) + down,
            self.columns * (self.width - right) + right,
        )

    @property
    def corners(self) -> list[tuple[int, int]]:
        """(first row, first column) of each tile; row by row."""
        down, right = self.height - self.overlaps[0], self.width - self.overlaps[1]
        return [
            (i * down, j * right) for i in range(self.rows) for j in range(self.columns)
        ]

    def cut(self, whole: np.ndarray, number: int) -> np.ndarray:
        """Returns one tile of an array (height, width, …) of `whole_size`.

        Args:
            whole: the array; the tile is a view of it.
            number: of the tile, row by row.
        """
        top, left = self.corners[number]
        return whole[top : top + self.height, left : left + self.width]

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """How much a pixel of a tile counts: falling where there is a neighbour.

        Returns:
            float32 arrays (rows, height) and (columns, width). A pixel's weight is
            their product, and those of one place add up to 1.
        """
        return (
            _slopes(self.rows, self.height, self.overlaps[0]),
            _slopes(self.columns, self.width, self.overlaps[1]),
        )


def _slopes(count, length, overlap):
    weights = np.ones((count, length), "float32")
    if overlap:
        rise = (np.arange(overlap, dtype="float32") + 0.5) / overlap
        weights[1:, :overlap] = rise
        weights[:-1, length - overlap :] = 1.0 - rise
    return weights


# More would be of images that no memory holds.
_MOST_IN_A_ROW = 1000


def checked_tiles(tiles: Any) -> tuple[int, int]:
    """Returns `tiles` as two integers.

    Args:
        tiles: what a user gave.

    Raises:
        ValueError: if it is anything else, or there would be no tile.
    """
    numbers = tiles if isinstance(tiles, list | tuple) else ()
    whole = [hasattr(n, "__index__") and not isinstance(n, bool) for n in numbers]
    if len(numbers) != 2 or not all(whole) or min(numbers) < 1:
        raise ValueError(
            "`tiles` must be (rows, columns), two whole numbers of at least 1, or None "
            f"for the whole image at once. Received: {tiles!r}."
        )
    if max(numbers) > _MOST_IN_A_ROW:
        raise ValueError(
            f"`tiles` may be {_MOST_IN_A_ROW} rows and columns at most. Received: "
            f"{tiles!r}."
        )
    return int(numbers[0]), int(numbers[1])


def tiles_from_words(words: str) -> tuple[int, int]:
    """Returns the (rows, columns) of "2x5".

    Args:
        words: what a user wrote.

    Raises:
        ValueError: if it is nothing of the kind.
    """
    found = re.fullmatch(r"\s*(\d{1,3})\s*[xX]\s*(\d{1,3})\s*", words, re.ASCII)
    if not found:
        raise ValueError(
            f"{words!r} says no tiles. Expected rows x columns, as 2x5 for 10 tiles."
        )
    return checked_tiles((int(found[1]), int(found[2])))


def checked_overlap(overlap: Any) -> float:
    """Returns `overlap` as a number: below 1 a share, else whole pixels.

    Args:
        overlap: what a user gave.

    Raises:
        ValueError: if it is neither.
    """
    is_number = isinstance(overlap, int | float | np.number)
    if isinstance(overlap, bool) or not is_number or not _is_overlap(overlap):
        raise ValueError(
            "`overlap` must be the share of a tile's side that neighbours have in "
            "common, from 0 to 0.5, or a whole number of pixels. Received: "
            f"{overlap!r}."
        )
    return int(overlap) if overlap >= 1 else float(overlap)


def _is_overlap(overlap):
    return 0 <= overlap <= 0.5 or (overlap >= 1 and overlap == int(overlap))
