"""Images to compare an export with its model on."""

import numpy as np

from keras_rlr.image_size import height_and_width
from keras_rlr.inputs.resize import resize_images, resize_to_part

# Of what is a share of the tiles, steps of it come nowhere twice for long.
_STEP = 0.618


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


def with_double_exposures(images):
    """Returns images, and each again with itself turned by half a turn over it.

    A memory bank may hold the patches of the images that are given. Of those its
    distances are 0 up to rounding, by which no two programs can be compared.

    Args:
        images: List of uint8 arrays (height, width, 3), of any sizes.

    Returns:
        List of twice as many.
    """
    halves = [image.astype("uint16") for image in images]
    exposed = [((half + half[::-1, ::-1]) // 2).astype("uint8") for half in halves]
    return [*images, *exposed]


def one_tile_each(images, tiling):
    """Returns a tile of each image, of ever other places.

    Args:
        images: List of uint8 arrays (height, width, 3).
        tiling: The `Tiling` by which they are cut.

    Returns:
        List of uint8 arrays (tile's height, tile's width, 3).
    """
    tiles = []
    for i, image in enumerate(images):
        top, left = tiling.corners[int(i * _STEP % 1 * tiling.count)]
        tile = resize_to_part(
            image, tiling.whole_size, top, left, tiling.height, tiling.width
        )
        tiles.append(tile.round().astype("uint8"))
    return tiles
