import warnings

import numpy as np

from keras_rlr.detectors.score_thresholds import refuse_not_finite
from keras_rlr.metrics import pixel_bins
from keras_rlr.metrics.functional import image_figures, pixel_figures
from keras_rlr.metrics.functional.figures import PIXEL_FIGURES
from keras_rlr.metrics.pixel_bins import PixelBins


class RunningFigures:
    """Loss and figures of a test set that is read part by part.

    Maps are kept, and the figures of pixels are exact, up to 4096 of them; more are
    counted in bins, in a memory that does not grow.

    Args:
        exact: True to keep all maps however many, False to keep none, None to decide
            by their number.
    """

    def __init__(self, exact=None):
        self._exact = exact
        self._losses, self._scores, self._labels = [], [], []
        self._masks, self._maps = [], []
        self._kept = 0
        self._bins = PixelBins() if exact is False else None
        self._masked = True

    def update(self, outputs, labels, masks):
        """Adds a part.

        Args:
            outputs: Dict of arrays "loss", "anomaly_score" and "anomaly_map".
            labels: Array (images,) or None.
            masks: Boolean array (images, S, S) or None.
        """
        refuse_not_finite(outputs["anomaly_score"], "be evaluated")
        self._losses.append(outputs["loss"])
        self._scores.append(outputs["anomaly_score"])
        self._labels.append(labels)
        self._masked = self._masked and masks is not None
        if not self._masked:
            self._masks, self._maps = [], []
            return
        self._masks.append(masks)
        self._maps.append(outputs["anomaly_map"])
        self._kept += len(masks)
        if self._bins is not None or (
            self._exact is None and self._kept > pixel_bins.MOST_EXACT_MAPS
        ):
            self._bins = self._bins or PixelBins()
            for pair in zip(self._masks, self._maps, strict=True):
                self._bins.update(*pair)
            self._masks, self._maps = [], []

    def result(self):
        """Returns a dict of "loss" and, where there are labels, the seven figures."""
        results = {
            "loss": float(np.mean(np.concatenate(self._losses), dtype="float64"))
        }
        if any(labels is None for labels in self._labels):
            return results
        labels = np.concatenate(self._labels)
        results.update(image_figures(labels, np.concatenate(self._scores)))
        return {**results, **self._pixels()}

    def _pixels(self):
        if not self._masked:
            warnings.warn(
                "The data has no masks, so the figures of pixels are NaN. Give each "
                "element a 'mask' (height, width), all zero for normal images.",
                stacklevel=4,
            )
            return dict.fromkeys(PIXEL_FIGURES, float("nan"))
        if self._bins is not None:
            return self._bins.figures()
        return pixel_figures(np.concatenate(self._masks), np.concatenate(self._maps))
