import math
from typing import Any

import keras

from keras_rlr.layers.initializers import SeededUniform, derive_seed, resolve_seed


def uniform_fan_in_dense(
    units: int, input_dim: int, seed: int, **kwargs: Any
) -> keras.layers.Dense:
    """A built `Dense` with kernel and bias uniform in ±1/√input_dim."""
    limit = 1.0 / math.sqrt(input_dim)
    dense = keras.layers.Dense(
        units,
        kernel_initializer=SeededUniform(limit, derive_seed(seed, "kernel")),
        bias_initializer=SeededUniform(limit, derive_seed(seed, "bias")),
        **kwargs,
    )
    dense.build((None, None, input_dim))
    return dense


@keras.saving.register_keras_serializable(package="keras_rlr")
class FeedForward(keras.layers.Layer):
    """Two dense layers, D → expansion · D → D, with the exact (erf) GELU between.

    Args:
        expansion: Factor of the hidden width.
        seed: Seed of the initial values, or None to draw one.

    Call arguments:
        tokens: Tensor (..., D).

    Returns:
        Tensor (..., D) in the compute dtype.

    Example:

    >>> keras_rlr.layers.FeedForward()(np.ones((1, 4, 4, 8), "float32")).shape
    (1, 4, 4, 8)
    """

    def __init__(
        self, expansion: int = 4, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.expansion = int(expansion)
        self.seed = resolve_seed(seed)

    def build(self, input_shape: Any) -> None:
        """Creates the two dense layers."""
        dim = input_shape[-1]
        hidden = self.expansion * dim
        self.dense_1 = uniform_fan_in_dense(
            hidden,
            dim,
            derive_seed(self.seed, "dense_1"),
            name="dense_1",
            dtype=self.dtype_policy,
        )
        self.dense_2 = uniform_fan_in_dense(
            dim,
            hidden,
            derive_seed(self.seed, "dense_2"),
            name="dense_2",
            dtype=self.dtype_policy,
        )

    def call(self, tokens: Any) -> Any:
        """Returns the transformed tokens."""
        hidden = keras.activations.gelu(self.dense_1(tokens), approximate=False)
        return self.dense_2(hidden)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the tokens."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "expansion": self.expansion,
            "seed": self.seed,
        }
