from typing import Any

import keras
import numpy as np

from keras_rlr.metrics import binned_figures
from keras_rlr.metrics.score_bins import lower_edge
from keras_rlr.metrics.streaming_metric import StreamingMetric


@keras.saving.register_keras_serializable(package="keras_rlr")
class F1Max(StreamingMetric):
    """The largest F1 that any threshold attains, in bounded memory.

    The streaming twin of `keras_rlr.metrics.functional.f1_max`, which is exact. Works
    in compiled steps of every backend; `error_bound()` says how far the result may be
    from the exact value.

    Args:
        resolution: Leading bits of a float32 score that are told apart, 10 to 24.
        name: Of the metric.
        dtype: As in Keras.

    Raises:
        ValueError: If the resolution is out of range.

    Example:

    >>> metric = keras_rlr.metrics.F1Max()
    >>> metric.update_state([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(float(metric.result()), 4), round(metric.threshold(), 3)
    (0.8, 0.35)
    """

    title = "F1-max"

    def __init__(
        self, resolution: int = 20, name: str = "f1_max", dtype: Any = None
    ) -> None:
        super().__init__(resolution, name=name, dtype=dtype)

    def figure(self, normal: Any, anomalous: Any, backend: Any) -> tuple[Any, ...]:
        """Returns (value, lowest, highest) of `BinCounts`."""
        return binned_figures.f1_max(normal, anomalous, backend)

    def threshold(self) -> float:
        """Returns the largest threshold, of those a bin begins with, of this F1.

        Returns:
            Python float; NaN if a class is absent.
        """
        normal, anomalous = self.host_counts()
        if not normal.total or not anomalous.total:
            return float("nan")
        best = self.figure(normal, anomalous, np)[3]
        return lower_edge(best, self.resolution)
