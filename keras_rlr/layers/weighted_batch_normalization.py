from typing import Any

import keras
from keras import ops

from keras_rlr.processes import average_gradients
from keras_rlr.torch_processes import mean_of_all


@keras.saving.register_keras_serializable(package="keras_rlr")
class WeightedBatchNormalization(keras.layers.Layer):
    """Batch normalization in which images that only fill a batch don't count.

    In training each channel gets mean 0 and variance 1 over all tokens of all images
    whose weight is above 0, on however many devices the batch is; in inference by the
    moving averages of those moments. Keras' own `BatchNormalization` takes a mask or
    looks at all devices, but not both. Computed in float32.

    Args:
        momentum: Share of the moving averages that stays at a step; 0.9 is PyTorch's
            default, which calls it 0.1.
        epsilon: Added to the variance; 1e-5 is PyTorch's default.

    Call arguments:
        tokens: Tensor (batch, height, width, C).
        weight: Tensor (batch,), or None where all images count.
        training: Whether the batch's moments are used, and averaged; not in a layer
            whose `trainable` is False, as in Keras.

    Returns:
        Tensor of the shape of `tokens`, in the compute dtype.

    Example:

    >>> layer = keras_rlr.layers.WeightedBatchNormalization()
    >>> tokens = np.random.normal(5.0, 2.0, (2, 8, 8, 3)).astype("float32")
    >>> abs(float(ops.mean(layer(tokens, training=True)))) < 1e-5
    True
    """

    def __init__(
        self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)

    def build(self, tokens_shape: Any, weight_shape: Any = None) -> None:
        """Creates scale, shift and the two moving averages."""
        shape = (tokens_shape[-1],)
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: tokens_shape[-1]})

        def moving(name, initializer):
            # The replicas of a strategy assign the same value.
            return self.add_weight(
                shape=shape,
                initializer=initializer,
                trainable=False,
                autocast=False,
                aggregation="mean",
                name=name,
            )

        def learned(name, initializer):
            return self.add_weight(
                shape=shape, initializer=initializer, autocast=False, name=name
            )

        self.gamma = learned("gamma", "ones")
        self.beta = learned("beta", "zeros")
        self.moving_mean = moving("moving_mean", "zeros")
        self.moving_variance = moving("moving_variance", "ones")
        self.built = True

    def call(self, tokens: Any, weight: Any = None, training: bool = False) -> Any:
        """Returns the normalized tokens."""
        tokens = ops.cast(tokens, "float32")
        gamma, beta, mean, variance = (
            ops.cast(weight, "float32")
            for weight in (
                self.gamma,
                self.beta,
                self.moving_mean,
                self.moving_variance,
            )
        )
        if training and self.trainable:
            counts = self._counts(tokens, weight)
            share = _mean(counts)
            mean = _mean(tokens * counts) / share
            # Of the differences: a variance from raw sums loses digits.
            variance = _mean(ops.square(tokens - mean) * counts) / share
            self._average(self.moving_mean, mean)
            self._average(self.moving_variance, variance)
        scale = gamma * ops.rsqrt(variance + self.epsilon)
        return ops.cast((tokens - mean) * scale + beta, self.compute_dtype)

    def _counts(self, tokens, weight):
        """1 for an image that counts, else 0: (batch, 1, 1, 1)."""
        if weight is None:
            return ops.ones_like(tokens[:, :1, :1, :1])
        return ops.cast(ops.reshape(weight, (-1, 1, 1, 1)) > 0, "float32")

    def _average(self, variable, value):
        value = ops.stop_gradient(value)
        kept = ops.cast(variable, "float32") * self.momentum
        variable.assign(kept + value * (1.0 - self.momentum))

    def compute_output_shape(self, tokens_shape: Any, weight_shape: Any = None) -> Any:
        """Returns the shape of the tokens."""
        return tuple(tokens_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


def _mean(tokens):
    """Mean of each channel, over all devices and processes."""
    if keras.backend.backend() == "tensorflow":
        return ops.moments(tokens, axes=(0, 1, 2), synchronized=True)[0]
    # JAX sees the batch of all devices.
    mean = ops.mean(tokens, axis=(0, 1, 2))
    return mean_of_all(mean) if average_gradients() else mean
