from typing import Any

import keras

from keras_rlr.metrics import binned_figures
from keras_rlr.metrics.streaming_metric import StreamingMetric


@keras.saving.register_keras_serializable(package="keras_rlr")
class AveragePrecision(StreamingMetric):
    """Mean precision over the anomalous values, in bounded memory.

    The streaming twin of `keras_rlr.metrics.functional.average_precision`, which is
    exact. Works in compiled steps of every backend; `error_bound()` says how far the
    result may be from the exact value.

    Args:
        resolution: Leading bits of a float32 score that are told apart, 10 to 24.
        name: Of the metric.
        dtype: As in Keras.

    Raises:
        ValueError: If the resolution is out of range.

    Example:

    >>> metric = keras_rlr.metrics.AveragePrecision()
    >>> metric.update_state([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(float(metric.result()), 4)
    0.8333
    """

    title = "Average precision"

    def __init__(
        self, resolution: int = 20, name: str = "average_precision", dtype: Any = None
    ) -> None:
        super().__init__(resolution, name=name, dtype=dtype)

    def figure(self, normal: Any, anomalous: Any, backend: Any) -> tuple[Any, ...]:
        """Returns (value, lowest, highest) of `BinCounts`."""
        return binned_figures.average_precision(normal, anomalous, backend)
