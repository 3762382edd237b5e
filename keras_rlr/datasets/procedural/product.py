"""What a painter returns."""

from typing import NamedTuple

import numpy as np


class Product(NamedTuple):
    """A painted product before light, camera and defects of the surface.

    Args:
        colour: array (height, width, 3), the part of the light that is reflected.
        surface: array (height, width), 1 where the product is and 0 on the ground.
    """

    colour: np.ndarray
    surface: np.ndarray
