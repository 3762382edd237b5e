import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.checked_numbers import finite_number

# In pixels; from here on a smoothed map is nearly its mean, and the kernel large.
WIDEST = 1000


@functools.lru_cache(maxsize=16)
def gaussian_matrix(length: int, sigma: float) -> np.ndarray:
    """Matrix (length, length) that smooths a line with a Gaussian.

    The line is continued by mirroring it with its border values repeated (scipy's
    "reflect", NumPy's "symmetric"); the kernel ends four deviations out, as scipy's.
    """
    if sigma == 0:
        return np.eye(length, dtype="float32")
    radius = int(4.0 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    source = (np.arange(length)[:, None] + offsets) % (2 * length)
    source = np.where(source < length, source, 2 * length - 1 - source)
    matrix = np.zeros((length, length))
    np.add.at(matrix, (np.arange(length)[:, None], source), kernel[None])
    return matrix.astype("float32")


@keras.saving.register_keras_serializable(package="keras_rlr")
class AnomalyScore(keras.layers.Layer):
    """The maximum of the smoothed anomaly map, or the mean of its top: one an image.

    Smoothing is scipy's `gaussian_filter(map, sigma)` with its defaults (truncated
    at 4 deviations, reflecting borders). Source: the authors' implementation (the
    paper does not define the image's score).

    Args:
        sigma: Standard deviation in pixels, at least 0 (0 does not smooth).
        top_share: Share of the pixels, those of the largest values, that the score is
            the mean of; 0 is the largest alone.

    Call arguments:
        anomaly_map: Tensor (batch, height, width) of static height and width.

    Returns:
        float32 tensor (batch,); NaN where the map has a NaN.

    Raises:
        ValueError: If `sigma` is negative, or above 1000.

    Example:

    >>> score = keras_rlr.layers.AnomalyScore(sigma=4.0)
    >>> score(np.ones((2, 64, 64), "float32")).shape
    (2,)
    """

    def __init__(
        self, sigma: float = 4.0, top_share: float = 0.0, **kwargs: Any
    ) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.sigma = finite_number("sigma", sigma, 0, WIDEST)
        self.top_share = finite_number("top_share", top_share, 0, 1)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def smooth(self, anomaly_map: Any) -> Any:
        """Returns the smoothed map, (batch, height, width)."""
        height, width = anomaly_map.shape[1:]
        rows = ops.convert_to_tensor(gaussian_matrix(height, self.sigma))
        columns = ops.convert_to_tensor(gaussian_matrix(width, self.sigma).T)
        return ops.matmul(rows, ops.matmul(anomaly_map, columns))

    def call(self, anomaly_map: Any) -> Any:
        """Returns the score of each map."""
        smoothed = self.smooth(anomaly_map)
        # JAX on a CPU and OpenVINO leave NaN out of a maximum. The maximum of a map of
        # NaN is then the smallest number there is, as if the image were normal.
        mean = ops.mean(smoothed, axis=(1, 2))
        count = round(self.top_share * smoothed.shape[1] * smoothed.shape[2])
        if count > 1:
            flat = ops.reshape(smoothed, (-1, smoothed.shape[1] * smoothed.shape[2]))
            highest = ops.mean(ops.top_k(flat, count)[0], axis=-1)
        else:
            highest = ops.max(smoothed, axis=(1, 2))
        return ops.where(ops.isnan(mean), mean, highest)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns (batch,)."""
        return (input_shape[0],)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "top_share": self.top_share,
        }
