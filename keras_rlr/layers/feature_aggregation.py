from typing import Any

import keras
from keras import ops

from keras_rlr.layers.neighborhood import validate_window


@keras.saving.register_keras_serializable(package="keras_rlr")
class FeatureAggregation(keras.layers.Layer):
    """Averages every feature over the neighbourhood of its place.

    Zeros beyond the border *count* in the mean, so border values shrink; Keras'
    "same" average pooling leaves them out and is no substitute. Source: equations
    1 and 2 of the paper, with the border of the authors' implementation.

    Args:
        window: Odd side of the neighbourhood; 3 in the paper's model.

    Call arguments:
        features: Tensor (batch, height, width, C).

    Returns:
        Tensor of the same shape, in the compute dtype.

    Raises:
        ValueError: If the window is even.

    Example:

    >>> aggregation = keras_rlr.layers.FeatureAggregation()
    >>> float(aggregation(np.ones((1, 4, 4, 1), "float32"))[0, 0, 0, 0])  # 4 of 9
    0.4444444477558136
    """

    def __init__(self, window: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = validate_window(window)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, features: Any) -> Any:
        """Returns the averaged features."""
        radius = self.window // 2
        # Keras leaves integers as they are, and their sums may be beyond their range.
        features = ops.cast(features, self.compute_dtype)
        padded = ops.pad(features, ((0, 0), (radius, radius), (radius, radius), (0, 0)))
        return ops.average_pool(
            padded, self.window, strides=1, padding="valid", data_format="channels_last"
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the features."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "window": self.window}
