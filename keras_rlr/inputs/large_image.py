"""An image too large to be kept as float32 pixels."""

import numpy as np

from keras_rlr.inputs.images import in_rgb, to_resized_rgb
from keras_rlr.inputs.resize import resize_to_part
from keras_rlr.inputs.resized_image import ResizedImage


class LargeImage(ResizedImage):
    """A `ResizedImage` that keeps what was read, and resizes what of it is asked for.

    Args:
        image: Array (height, width, channels), as it was read.
        size: (height, width) that it is resized to.
        bit_depth: Bits that a value of uint16 images has; None is 16.
        shape: The shape it had.
        value_ranges: What was seen of its values.
    """

    image: np.ndarray
    size: tuple[int, int]
    bit_depth: int | None

    def __init__(self, image, size, bit_depth, shape, value_ranges):
        # The base class is frozen, and has pixels where this has a property.
        for name, value in (
            ("image", image),
            ("size", size),
            ("bit_depth", bit_depth),
            ("shape", shape),
            ("value_ranges", value_ranges),
        ):
            object.__setattr__(self, name, value)

    @property
    def pixels(self):
        """All pixels, float32 (height, width, 3), RGB in 0-255."""
        return to_resized_rgb(self.image, self.size, "the image", self.bit_depth)

    def part(self, top, left, height, width):
        """Returns the pixels of a part of it; see `ResizedImage`."""

        def resize(colours):
            return resize_to_part(colours, self.size, top, left, height, width)

        return np.ascontiguousarray(in_rgb(self.image, resize, self.bit_depth))
