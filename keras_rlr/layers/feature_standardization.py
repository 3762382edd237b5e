from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rlr")
class FeatureStandardization(keras.layers.Layer):
    """Shifts and scales every channel to mean 0 and variance 1 over normal tokens.

    Our addition to the method. The two moments are set once from normal training
    images (`RLR.adapt`), saved with the model and never trained.

    Args:
        epsilon: Added to the variance, so that a constant channel stays finite.

    Call arguments:
        features: Tensor (batch, height, width, C).

    Returns:
        float32 tensor of the same shape.

    Example:

    >>> layer = keras_rlr.layers.FeatureStandardization()
    >>> layer.build((None, 4, 4, 2))
    >>> layer.set_moments(np.array([1.0, 2.0]), np.array([4.0, 9.0]))
    >>> standardized = layer(np.full((1, 4, 4, 2), 5.0, "float32"))
    >>> keras.ops.convert_to_numpy(standardized)[0, 0, 0].round(3).tolist()
    [2.0, 1.0]
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Creates the moments: mean 0 and variance 1, not adapted."""
        shape = (input_shape[-1],)
        # One channel would be broadcast to all.
        self.input_spec = keras.layers.InputSpec(axes={-1: input_shape[-1]})
        self.mean = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="mean"
        )
        self.variance = self.add_weight(
            shape=shape, initializer="ones", trainable=False, name="variance"
        )
        self.adapted = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="adapted"
        )

    def set_moments(self, mean: Any, variance: Any) -> None:
        """Stores the moments, both of shape (C,), and marks the layer as adapted."""
        self.mean.assign(np.asarray(mean, "float32"))
        self.variance.assign(np.asarray(variance, "float32"))
        self.adapted.assign(1.0)

    def forget_moments(self) -> None:
        """Is as if `set_moments` had never been called."""
        self.set_moments(np.zeros(self.mean.shape), np.ones(self.mean.shape))
        self.adapted.assign(0.0)

    def is_moved_by(self, mean: Any, variance: Any) -> bool:
        """Whether moments are others than those that were set, rounding apart.

        Args:
            mean: Array (C,).
            variance: Array (C,).
        """
        if not self.is_adapted:
            return False
        old_mean, old = map(ops.convert_to_numpy, (self.mean, self.variance))
        # Features of a cache are rounded to 16 bits.
        is_near = np.abs(mean - old_mean) <= 1e-3 * np.sqrt(old + self.epsilon)
        is_near &= np.abs(variance - old) <= 1e-3 * (old + self.epsilon)
        return not is_near.all()

    @property
    def is_adapted(self) -> bool:
        """Whether `set_moments` was ever called, also before saving and loading."""
        return bool(ops.convert_to_numpy(self.adapted) > 0)

    def mean_squared_norm(self, standardized: bool = True) -> Any:
        """Mean squared norm of the tokens the moments were taken from, a scalar.

        Args:
            standardized: Of the tokens after standardisation, or before it.
        """
        if standardized:
            return ops.sum(self.variance / (self.variance + self.epsilon))
        return ops.sum(self.variance + ops.square(self.mean))

    def call(self, features: Any) -> Any:
        """Returns the standardised features."""
        features = ops.cast(features, "float32")
        return (features - self.mean) * ops.rsqrt(self.variance + self.epsilon)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the features."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}
