"""Masks that are probably not what they should be."""

import warnings

import numpy as np

from keras_rlr.image_size import ImageSize, height_and_width
from keras_rlr.inputs.masks import resize_mask
from keras_rlr.printable import name_some

_NAMED = 5
_EMPTY = "of anomalous images have no anomalous pixel (alpha channels are not read)"
_FULL = "call every pixel anomalous (alpha channels are not read)"
_LARGE = "call more than half of the pixels anomalous: black and white may be swapped"
_ALPHA = "say all in their alpha channel, which is not read: save them as grey"
_VANISHED = (
    "have defects smaller than a map's pixel: all of them vanish when they are brought "
    "to {size} pixels by nearest neighbour, and the figures of pixels count these "
    "images as without a defect (compare at the images' own sizes, by evaluate_model "
    "with map_size='original' or --map-size original, look at tiles, or take a larger "
    "image_size)"
)
_PARTLY = (
    "lose {lost} of their {regions} connected regions, which are smaller than a map's "
    "pixel, when they are brought to {size} pixels by nearest neighbour: the figures "
    "of pixels leave these defects out (compare at the images' own sizes, by "
    "evaluate_model with map_size='original' or --map-size original)"
)
_KINDS = (_ALPHA, _EMPTY, _FULL, _LARGE, _VANISHED, _PARTLY)


class MaskCheck:
    """Looks at the masks of anomalous images, one after the other.

    Args:
        size: side of the maps that masks are compared with, or (height, width), in
            pixels.

    Example:

    ```python
    import numpy as np

    from keras_rlr.inputs.mask_check import MaskCheck

    check = MaskCheck(256)
    check.add("a.png", np.ones((9, 9), bool), np.ones((256, 256), bool))
    check.warnings()  # one sentence
    ```
    """

    def __init__(self, size: ImageSize):
        self.size = "x".join(map(str, height_and_width(size)))
        self._names: dict[str, list[str]] = {kind: [] for kind in _KINDS}
        self._count = 0
        self._regions = 0
        self._lost = 0

    def add(
        self, name: str, mask: np.ndarray, square: np.ndarray, in_alpha: bool = False
    ) -> None:
        """Looks at the mask of an anomalous image.

        Args:
            name: what the image is called in warnings.
            mask: array as it was read, above 0 where anomalous.
            square: the mask at the size of the map that it is compared with.
            in_alpha: whether the file says all in its alpha channel.
        """
        self._count += 1
        mask = np.asarray(mask)
        share = np.count_nonzero(mask > 0) / mask.size
        if in_alpha:
            kind = _ALPHA
        elif share == 0:
            kind = _EMPTY
        elif share == 1:
            kind = _FULL
        elif share > 0.5:
            kind = _LARGE
        elif not np.any(square):
            kind = _VANISHED
        elif lost := _lost_regions(mask, square):
            kind = _PARTLY
            self._lost += lost[0]
            self._regions += lost[1]
        else:
            return
        self._names[kind].append(name)

    def take_in(self, other: "MaskCheck") -> None:
        """Counts in what another one saw of further images.

        Args:
            other: The other, of the same size.
        """
        self._count += other._count
        self._regions += other._regions
        self._lost += other._lost
        for kind, names in other._names.items():
            self._names[kind] += names

    def warnings(self) -> list[str]:
        """A sentence for each kind of odd masks."""
        return [
            f"{len(names)} of {self._count} masks "
            f"{kind.format(size=self.size, lost=self._lost, regions=self._regions)}: "
            f"{name_some(names, _NAMED)}."
            for kind, names in self._names.items()
            if names
        ]

    def warn(self) -> None:
        """Warns of each kind of odd masks."""
        for sentence in self.warnings():
            warnings.warn(sentence, stacklevel=2)


def _lost_regions(mask: np.ndarray, square: np.ndarray) -> tuple[int, int] | None:
    """How many connected regions of a mask the resized one has not, and of how many."""
    from scipy.ndimage import label

    mask = mask.reshape(mask.shape[:2]) > 0
    if mask.shape[0] <= square.shape[0] and mask.shape[1] <= square.shape[1]:
        return None
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    marked = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Corners connect, as in AUPRO.
    numbers = np.zeros(mask.shape, "int32")
    numbers[marked], count = label(mask[marked], np.ones((3, 3)))
    kept = np.unique(resize_mask(numbers, *square.shape[:2]))
    lost = count - np.count_nonzero(kept)
    return (lost, count) if lost else None
