from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_rlr.datasets.image_files import decode, has_more_pages
from keras_rlr.datasets.sample import Sample
from keras_rlr.inputs.masks import resize_mask
from keras_rlr.inputs.pillow_images import image_to_array, palette_contradiction

MASK_SUFFIXES_IN_WORDS = ".png, .bmp, .tif or .gif"
_LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")
# Of TIFF files, as Pillow calls them.
_LOSSY_COMPRESSIONS = ("jpeg", "tiff_jpeg", "webp")


def read_mask(path: str | Path, height: int, width: int) -> np.ndarray:
    """Reads the mask of an image.

    Any value above 0 is anomalous, in any channel but alpha; of a palette image the
    indices count, not their colours, and where these say the opposite it is refused:
    programs that reduce colours give indices in any order. A mask of another size than
    its image, but of its proportions, is resized by nearest neighbour at pixel centres.

    Args:
        path: the file: PNG, BMP, TIFF or GIF.
        height: height of the image.
        width: width of the image.

    Returns:
        uint8 array (height, width), 1 where anomalous.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file can't be read, is in a format that changes pixels, has
            several pages, contradicts itself, or has other proportions.
    """
    mask = _decode(path, _to_mask)
    if mask.shape != (height, width):
        if abs(mask.shape[0] * width - mask.shape[1] * height) > max(height, width):
            raise ValueError(
                f"The mask '{path}' is {mask.shape[1]}x{mask.shape[0]} pixels, but its "
                f"image is {width}x{height}: the proportions differ, so the one can't "
                "be a scaled copy of the other. Check that they belong together."
            )
        mask = resize_mask(mask, height, width)
    return mask.astype(np.uint8)


def read_mask_as_it_is(path: str | Path) -> np.ndarray:
    """Reads a mask of any size; see `read_mask`.

    Args:
        path: the file.

    Returns:
        uint8 array (height, width), 1 where its pixels are above 0.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as of `read_mask`, but for proportions.
    """
    return _decode(path, _to_mask).astype(np.uint8)


def read_masks(sample: Sample, height: int, width: int) -> np.ndarray:
    """Reads all masks of a sample: what one of them calls anomalous is so.

    Args:
        sample: the sample.
        height: height of its image.
        width: width of its image.

    Returns:
        uint8 array (height, width), 1 where anomalous; all 0 without masks.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file can't be read, has other proportions, or calls pixels of
            a normal image anomalous.
    """
    merged = np.zeros((height, width), np.uint8)
    for path in sample.masks:
        mask = read_mask(path, height, width)
        if not sample.label and mask.any():
            raise ValueError(
                f"The image '{sample.image}' is called normal by its place, but its "
                f"mask '{path}' has anomalous pixels. Move the image to a folder of "
                "its defect, or remove the mask."
            )
        merged |= mask
    return merged


def is_black(path: Path) -> bool:
    """Whether no pixel of a mask's file is anomalous.

    Raises:
        ValueError: if it can't be read.
    """
    return not _decode(path, _to_mask).any()


def says_all_in_alpha(paths: Iterable[Path]) -> bool:
    """Whether a mask's alpha channel varies, and its colours say nothing.

    Raises:
        ValueError: if a file can't be read.
    """
    return any(_decode(path, _only_alpha_varies).all() for path in paths)


def _decode(path, to_array) -> np.ndarray:
    """As `decode`, but refuses masks whose pixels may not be what was drawn."""
    problems: list[str] = []

    def noting(image):
        if lossy := _lossy_format(image):
            problems.append(
                f"is in a format that changes pixels ({lossy}): what was 0 in the mask "
                "may have become 1, and anything above 0 counts. Save masks as "
                f"{MASK_SUFFIXES_IN_WORDS} files; what this one has lost comes back "
                "from its source alone."
            )
            return np.empty(0)
        array = to_array(image)
        if contradiction := palette_contradiction(image):
            problems.append(contradiction)
        elif has_more_pages(image):
            problems.append(
                "has several pages or frames, and what the others mark would be lost. "
                "Save all of it in one, or each as a mask of its own."
            )
        return array

    array = decode(Path(path), noting)
    if problems:
        raise ValueError(f"'{path}' {problems[0]}")
    return array


def _lossy_format(image: Any) -> str:
    # By the content: a name says little. WebP may be lossless, but does not say so.
    if image.format in _LOSSY_FORMATS:
        return str(image.format)
    compression = image.info.get("compression")
    if image.format == "TIFF" and compression in _LOSSY_COMPRESSIONS:
        return f"TIFF compressed as {compression}"
    return ""


def _to_mask(image) -> np.ndarray:
    if image.mode == "P":
        return np.array(image) > 0
    pixels = image_to_array(image)
    return np.any(_colours(pixels) > 0, axis=-1)


def _colours(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., : pixels.shape[-1] - (pixels.shape[-1] in (2, 4))]


def _only_alpha_varies(image) -> np.ndarray:
    if image.mode not in ("LA", "RGBA", "La", "RGBa"):
        return np.array(False)
    pixels = image_to_array(image)
    anomalous = np.any(_colours(pixels) > 0, axis=-1)
    alpha = pixels[..., -1]
    constant = anomalous.all() or not anomalous.any()
    return np.array(constant and alpha.min() != alpha.max())
