"""What is true of the images of a test set: their labels, and masks that agree."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_rlr.image_size import ImageSize, height_and_width
from keras_rlr.inputs.images import to_array
from keras_rlr.inputs.labels import label_of
from keras_rlr.inputs.mask_check import MaskCheck
from keras_rlr.inputs.masks import to_mask, to_small_mask


class Truth:
    """Labels and masks of images, and how many have none.

    Args:
        size: Side of the maps that masks are brought to, or (height, width).
    """

    def __init__(self, size: ImageSize) -> None:
        self.size = height_and_width(size)
        self.labelled = self.masked = self.anomalous = self.unmasked = 0
        self.mask_check = MaskCheck(size)
        self._labels: list[int | None] = []
        self._masks: list[np.ndarray | None] = []

    def add(self, element: dict[str, Any], position: int) -> None:
        """Adds an image.

        Args:
            element: Dict of the image.
            position: Of the element in the data, for messages.

        Raises:
            ValueError: If its label or mask can't be read, or they disagree.
        """
        label = label_of(element, position)
        mask = true_mask(element, label, position)
        # Without a mask, what is anomalous is known of normal images alone.
        is_known = mask is not None or (label is not None and not label)
        small = mask_at(self.size, mask)
        self._labels.append(None if label is None else int(label))
        self._masks.append(small if is_known else None)
        self.labelled += label is not None
        self.masked += mask is not None
        self.anomalous += bool(label)
        self.unmasked += bool(label) and mask is None
        if label and mask is not None:
            self.mask_check.add(short_name_of(element, position), mask, small)

    @property
    def labels(self) -> np.ndarray | None:
        """Array (images,) of 0 and 1, or None if an image has no label."""
        is_known = self._labels and None not in self._labels
        return np.array(self._labels) if is_known else None

    @property
    def masks(self) -> np.ndarray | None:
        """Boolean array (images, height, width), or None if one is not known.

        Of normal images that have none it is empty.
        """
        masks = [mask for mask in self._masks if mask is not None]
        return np.stack(masks) if masks and len(masks) == len(self._masks) else None


def true_mask(element: dict[str, Any], label: Any, position: int) -> np.ndarray | None:
    """Returns the mask of an element of a test set at its own size.

    Args:
        element: Dict of an image, as `keras_rlr.inputs.elements.element` makes it.
        label: Whether it is anomalous; None where unknown.
        position: Of the element in the data, for messages.

    Returns:
        Array (height, width) of numbers, or None.

    Raises:
        ValueError: If the mask can't be read, lies on its side, or marks pixels of a
            normal image.
    """
    mask = element.get("mask")
    if mask is None:
        return None
    with in_words(element, position):
        mask = to_mask(mask)
        height, width = np.shape(element["image"])[:2]
        # Of any other size it may have been resized as images are.
        if height != width and mask.shape == (width, height):
            raise ValueError(
                f"The mask is {width}x{height} (height x width), and its image "
                f"{height}x{width}: it lies on its side. Turn it as the image is, "
                "mask.T where rows and columns were swapped."
            )
    if label is not None and not label and np.any(mask > 0):
        raise ValueError(
            f"{name_of(element, position)} has the label 0, normal, and a mask that is "
            "not empty. Say which is right: give it another label, or an empty mask or "
            "none."
        )
    return mask


def mask_at(size: ImageSize, mask: np.ndarray | None) -> np.ndarray:
    """Returns what `true_mask` returned at the size of maps; without one it is empty.

    Args:
        size: Side of the maps, or (height, width).
        mask: Array (height, width), or None.

    Returns:
        Boolean array (height, width).
    """
    if mask is None:
        return np.zeros(height_and_width(size), bool)
    return to_small_mask(mask, size)


@contextlib.contextmanager
def in_words(element: dict[str, Any], position: int) -> Iterator[None]:
    """A context in which errors say of which element they are; see `name_of`."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name_of(element, position)}: {error}") from None


def name_of(element: dict[str, Any], position: int) -> str:
    """Words for an element at the begin of a sentence, with its path if it has one.

    Args:
        element: Dict of an image.
        position: Of the element in the data.
    """
    path = _path(element)
    return f"Element {position}{f' ({path})' if path else ''} of the data"


def short_name_of(element: dict[str, Any], position: int) -> str:
    """The path of an element, or its place where it has none; see `name_of`."""
    return _path(element) or f"image {position}"


def _path(element):
    path = element.get("path")
    if path is None:
        return ""
    path = path if isinstance(path, str | bytes) else to_array(path).item()
    return path.decode() if isinstance(path, bytes) else str(path)
