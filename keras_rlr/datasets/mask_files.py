from pathlib import Path

import numpy as np

from keras_rlr.datasets.image_files import decode, image_to_array


def read_mask(path: str | Path, height: int, width: int) -> np.ndarray:
    """Reads the mask of an image.

    Any value above 0 is anomalous, in any channel but alpha; of a palette image the
    indices count, not their colours. A mask of another size than its image, but of
    its proportions, is resized by nearest neighbour at pixel centres.

    Args:
        path: the file, of a kind that `read_image` reads.
        height: height of the image.
        width: width of the image.

    Returns:
        uint8 array (height, width), 1 where anomalous.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file can't be read, or has other proportions.
    """
    mask = decode(Path(path), _to_mask)
    if mask.shape != (height, width):
        if abs(mask.shape[0] * width - mask.shape[1] * height) > max(height, width):
            raise ValueError(
                f"The mask '{path}' is {mask.shape[1]}x{mask.shape[0]} pixels, but its "
                f"image is {width}x{height}: the proportions differ, so the one can't "
                "be a scaled copy of the other. Check that they belong together."
            )
        rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
        columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
        mask = mask[rows[:, None], columns]
    return mask.astype(np.uint8)


def _to_mask(image) -> np.ndarray:
    if image.mode == "P":
        return np.array(image) > 0
    pixels = image_to_array(image)
    colours = pixels[..., : pixels.shape[-1] - (pixels.shape[-1] in (2, 4))]
    return np.any(colours > 0, axis=-1)
