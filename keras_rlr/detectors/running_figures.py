import warnings

import numpy as np

from keras_rlr.detectors.score_thresholds import refuse_not_finite
from keras_rlr.inputs.mask_check import MaskCheck
from keras_rlr.metrics import pixel_bins
from keras_rlr.metrics.functional import image_figures, pixel_figures
from keras_rlr.metrics.functional.figures import PIXEL_FIGURES
from keras_rlr.metrics.pixel_bins import PixelBins


class RunningFigures:
    """Loss and figures of a test set that is read part by part.

    Maps are kept, and the figures of pixels are exact, up to as many pixels as 4096
    maps of 256x256 have; more are counted in bins, in a memory that does not grow.

    Args:
        exact: True to keep all maps however many, False to keep none, None to decide
            by the number of their pixels.
    """

    def __init__(self, exact=None):
        self._exact = exact
        self._losses, self._scores, self._labels = [], [], []
        self._masks, self._maps = [], []
        self._kept = 0
        self._bins = PixelBins() if exact is False else None
        self._masks_known = True
        self._odd_masks: MaskCheck | None = None
        self.labelled = self.masked = self.anomalous = self.unmasked = 0

    def update(self, outputs, truth):
        """Adds a part.

        Args:
            outputs: Dict of arrays "loss", "anomaly_score" and "anomaly_map".
            truth: The `Truth` of its images.
        """
        refuse_not_finite(outputs["anomaly_score"], "be evaluated")
        self._losses.append(outputs["loss"])
        self._scores.append(outputs["anomaly_score"])
        self._labels.append(truth.labels)
        self.labelled += truth.labelled
        self.masked += truth.masked
        self.anomalous += truth.anomalous
        self.unmasked += truth.unmasked
        if self._odd_masks is None:
            self._odd_masks = MaskCheck(truth.size)
        self._odd_masks.take_in(truth.mask_check)
        masks = truth.masks
        self._masks_known = self._masks_known and masks is not None
        if not self._masks_known:
            self._masks, self._maps = [], []
            return
        self._masks.append(masks)
        self._maps.append(outputs["anomaly_map"])
        self._kept += masks.size
        if self._bins is not None or (
            self._exact is None and self._kept > pixel_bins.MOST_EXACT_PIXELS
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
        if not self._masks_known or not self.masked:
            warnings.warn(self._missing(), stacklevel=4)
            return dict.fromkeys(PIXEL_FIGURES, float("nan"))
        if self._odd_masks is not None:
            self._odd_masks.warn()
        if self._bins is not None:
            return self._bins.figures()
        return pixel_figures(np.concatenate(self._masks), np.concatenate(self._maps))

    def _missing(self):
        if not self.masked:
            return (
                "The data has no masks, so the figures of pixels are NaN. Give each "
                "anomalous element a 'mask' (height, width); normal ones need none."
            )
        return (
            f"{self.unmasked} of the {self.anomalous} anomalous images have no mask, "
            "so the figures of pixels are NaN. Give each a 'mask' (height, width), or "
            "leave them out; normal ones need none."
        )
