"""Images to compare an export with its model on, where the user gives none."""

import numpy as np

from keras_rlr.inputs.resize import resize_images


def sample_images(count, size):
    """Returns smooth pictures with a sharp patch, the same every time.

    Args:
        count: Number of images.
        size: Their side.

    Returns:
        uint8 array (count, size, size, 3).
    """
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (count, 9, 9, 3)).astype("float32")
    images = resize_images(coarse, size)
    side = max(1, size // 8)
    for image in images:
        top, left = random.integers(0, size - side + 1, 2)
        image[top : top + side, left : left + side] = random.uniform(0, 255, 3)
    return images.round().astype("uint8")
