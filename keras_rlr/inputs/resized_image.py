from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from keras_rlr.inputs.value_ranges import ValueRanges


@dataclass(frozen=True, eq=False)
class ResizedImage:
    """What is kept of an image that was looked at and resized when it was read.

    Images of many pixels are then in memory one by one, and not a batch at a time.

    Args:
        pixels: float32 array (height, width, 3), RGB in 0-255.
        shape: The shape it had.
        value_ranges: What was seen of its values.
        tile: Of a tile its number in the image, row by row; None of an image.
    """

    pixels: np.ndarray
    shape: tuple
    value_ranges: "ValueRanges"
    tile: int | None = None

    def part(self, top, left, height, width):
        """Returns the pixels of a part of it, float32 (height, width, 3).

        Args:
            top: First row.
            left: First column.
            height: Number of rows.
            width: Number of columns.
        """
        return self.pixels[top : top + height, left : left + width]

    @property
    def ndim(self):
        """The number of axes it had."""
        return len(self.shape)
