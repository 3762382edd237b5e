"""Images to compare an export with its model on, where the user gives none."""

import numpy as np

from keras_rlr.image_size import height_and_width
from keras_rlr.inputs.resize import resize_images


def sample_images(count, size):
    """Returns smooth pictures with a sharp patch, the same every time.

    Args:
        count: Number of images.
        size: Their side, or (height, width).

    Returns:
        uint8 array (count, height, width, 3).
    """
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (count, 9, 9, 3)).astype("float32")
    images = resize_images(coarse, size)
    height, width = height_and_width(size)
    side = max(1, min(height, width) // 8)
    for image in images:
        top, left = random.integers(0, (height - side + 1, width - side + 1))
        image[top : top + side, left : left + side] = random.uniform(0, 255, 3)
    return images.round().astype("uint8")
