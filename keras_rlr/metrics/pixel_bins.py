import math
import warnings
from typing import Any

import numpy as np

from keras_rlr.metrics import binned_figures
from keras_rlr.metrics.functional.aupro import region_weights
from keras_rlr.metrics.functional.figures import PIXEL_FIGURES
from keras_rlr.metrics.functional.ranking import labels_and_scores, refuse_masked
from keras_rlr.metrics.score_bins import bin_index

# Figures are exact up to so many pixels, as 4096 maps of 256x256 have; more would fill
# the memory.
MOST_EXACT_PIXELS = 4096 * 256 * 256
# What counting needs beside a map is several times as large as so many of its pixels.
_AT_ONCE = 2**24


class PixelBins:
    """Pixels of any number of anomaly maps, counted in bins of their values.

    Args:
        resolution: Leading bits of a float32 value that make its bin; 20 takes 24 MB.

    Example:

    ```python
    from keras_rlr.metrics.pixel_bins import PixelBins

    bins = PixelBins()
    bins.update(masks, maps)
    bins.figures()["pixel_aupro"], bins.error_bounds()["pixel_aupro"]
    ```
    """

    def __init__(self, resolution: int = 20) -> None:
        self.resolution = resolution
        self.normal = np.zeros(1 << resolution, "int64")
        self.anomalous = np.zeros(1 << resolution, "int64")
        self.overlap = np.zeros(1 << resolution, "float64")

    def update(self, masks: Any, maps: Any) -> None:
        """Counts the pixels of maps.

        Args:
            masks: Array (images, height, width), boolean or 0 and 1.
            maps: Array of that shape.

        Raises:
            ValueError: If the shapes differ or are others, a mask holds other values,
                or a map holds NaN.
        """
        refuse_masked(masks)
        masks = np.asarray(masks)
        positive, score = labels_and_scores(masks, maps)
        if masks.ndim != 3:
            raise ValueError(
                "`masks` must have the shape (images, height, width). Received: "
                f"{masks.shape}."
            )
        weights = region_weights(positive.reshape(masks.shape))
        for start in range(0, len(score), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            count = np.count_nonzero(positive[part])
            self._count(positive[part], score[part], weights[:count])
            weights = weights[count:]

    def _count(self, positive, score, weights):
        score = score.astype("float32")
        score[score == 0] = 0  # -0 has other bits
        bins = bin_index(score.view("int32"), self.resolution, np.where)
        size = 1 << self.resolution
        found = bins[positive]
        self.normal += np.bincount(bins[~positive], minlength=size)
        self.anomalous += np.bincount(found, minlength=size)
        self.overlap += np.bincount(found, weights, minlength=size)

    def add(self, other: "PixelBins") -> None:
        """Adds what another one of the same resolution has counted.

        Args:
            other: The other `PixelBins`.
        """
        self.normal += other.normal
        self.anomalous += other.anomalous
        self.overlap += other.overlap

    def is_defined(self, what: str | None = None) -> bool:
        """Whether there were normal and anomalous pixels.

        Args:
            what: If given, and there were not, warns that it is undefined.
        """
        normal, anomalous = int(self.normal.sum()), int(self.anomalous.sum())
        if what and not (normal and anomalous):
            warnings.warn(
                f"{what} is undefined without both classes: received {anomalous} "
                f"anomalous and {normal} normal values. Returning NaN.",
                stacklevel=3,
            )
        return bool(normal and anomalous)

    def counts(self) -> Any:
        """Returns the `BinCounts` of the normal and of the anomalous pixels."""
        return tuple(map(binned_figures.bin_counts, (self.normal, self.anomalous)))

    def figures(self, fpr_limit: float = 0.3) -> dict[str, float]:
        """Returns the figures of `PIXEL_FIGURES`, NaN if a class is absent."""
        return {name: value for name, (value, _) in self._figures(fpr_limit).items()}

    def error_bounds(self, fpr_limit: float = 0.3) -> dict[str, float]:
        """Returns how far each figure may be from its exact value."""
        return {name: error for name, (_, error) in self._figures(fpr_limit).items()}

    def _figures(self, fpr_limit):
        if not self.is_defined("Pixel AUROC"):
            return dict.fromkeys(PIXEL_FIGURES, (math.nan, math.nan))
        normal, anomalous = self.counts()
        results = (
            binned_figures.auroc(normal, anomalous, np),
            binned_figures.average_precision(normal, anomalous, np),
            binned_figures.f1_max(normal, anomalous, np)[:3],
            binned_figures.aupro(normal, self.overlap, fpr_limit, np),
        )
        return {
            name: (float(value), float(max(value - lowest, highest - value)))
            for name, (value, lowest, highest) in zip(
                PIXEL_FIGURES, results, strict=True
            )
        }
