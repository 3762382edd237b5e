import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.metrics import binned_figures
from keras_rlr.metrics.functional.aupro import check_fpr_limit
from keras_rlr.metrics.functional.ranking import refuse_masked
from keras_rlr.metrics.pixel_bins import PixelBins
from keras_rlr.metrics.score_bins import check_resolution
from keras_rlr.metrics.streaming_metric import is_traced


@keras.saving.register_keras_serializable(package="keras_rlr")
class AUPRO(keras.metrics.Metric):
    """Area under the per-region overlap curve, in bounded memory.

    The streaming twin of `keras_rlr.metrics.functional.aupro`, which is exact.
    `error_bound()` says how far the result may be from the exact value. Connected
    regions can't be found in a compiled step: update it from the host, after
    `predict`, as `RLR.evaluate` does.

    Args:
        fpr_limit: False-positive rate where the integration ends, above 0, at most 1.
        resolution: Leading bits of a float32 score that are told apart, 10 to 24.
        name: Of the metric.
        dtype: As in Keras.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> mask = np.zeros((1, 4, 4), int)
    >>> mask[0, 1:3, 1:3] = 1
    >>> metric = keras_rlr.metrics.AUPRO()
    >>> metric.update_state(mask, mask.astype("float32"))
    >>> metric.result()
    1.0
    """

    def __init__(
        self,
        fpr_limit: float = 0.3,
        resolution: int = 20,
        name: str = "aupro",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        check_fpr_limit(fpr_limit)
        self.fpr_limit = float(fpr_limit)
        self.resolution = check_resolution(resolution)
        self.reset_state()

    def reset_state(self) -> None:
        """Forgets all maps."""
        self._bins = PixelBins(self.resolution)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts the pixels of maps.

        Args:
            y_true: Masks (images, height, width), boolean or 0 and 1 (anomalous).
            y_pred: Maps of that shape.
            sample_weight: None.

        Raises:
            ValueError: If the shapes differ, a mask holds other values, a map holds
                NaN, weights are given, or this is called in a compiled step.
        """
        if is_traced(y_true, y_pred):
            raise ValueError(
                "AUPRO needs connected regions, which a compiled step can't find. "
                "Update it with arrays after `predict`, or use `RLR.evaluate`."
            )
        if sample_weight is not None:
            raise ValueError("AUPRO takes no `sample_weight`: leave maps out instead.")
        refuse_masked(y_true, y_pred)
        self._bins.update(ops.convert_to_numpy(y_true), ops.convert_to_numpy(y_pred))

    def result(self) -> Any:
        """Returns the value; NaN, with a `UserWarning`, if a class is absent."""
        if not self._bins.is_defined("AUPRO"):
            return math.nan
        return float(self._figure()[0])

    def error_bound(self) -> float:
        """Returns how far the result may be from the exact value, a Python float."""
        if not self._bins.is_defined():
            return math.nan
        value, lowest, highest = self._figure()
        return float(max(value - lowest, highest - value))

    def _figure(self):
        normal, _ = self._bins.counts()
        return binned_figures.aupro(normal, self._bins.overlap, self.fpr_limit, np)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "fpr_limit": self.fpr_limit,
            "resolution": self.resolution,
        }
