import numbers
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.layers.initializers import SeededNormal, derive_seed, resolve_seed
from keras_rlr.layers.neighborhood import known_grid

_MOST_TOKENS = 1000


@keras.saving.register_keras_serializable(package="keras_rlr")
class ReferenceWeights(keras.layers.Layer):
    """The learnable reference: trainable tokens for each place of the grid.

    A matrix of height · width tokens by C channels, standard normal at first. It
    depends on no image; the call argument only tells the grid it belongs to.
    Source: section 3.2 of the paper.

    Args:
        seed: Seed of the initial values, or None to draw one.
        tokens: Tokens K of each place; the paper has one.
        starts_from_data: Whether it is to be set once, by `start`. Such a layer has a
            further weight that tells whether it was, so a saved one is not set again.
        references: Number of references, of which each image has one.

    Call arguments:
        features: Tensor (batch, height, width, C); only its shape counts.
        numbers: int32 tensor (batch or 1,): which reference of several each image has.

    Returns:
        Tensor (1, height, width · K, C) in the compute dtype, or of several references
        (batch or 1, …); the tokens of a place are side by side.

    Raises:
        ValueError: If `tokens` is not possible, or height, width or C is not static.

    Example:

    >>> reference = keras_rlr.layers.ReferenceWeights()
    >>> reference(np.zeros((2, 4, 5, 3), "float32")).shape
    (1, 4, 5, 3)
    """

    def __init__(
        self,
        seed: int | None = None,
        tokens: int = 1,
        starts_from_data: bool = False,
        references: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.seed = resolve_seed(seed)
        self.tokens = validate_tokens(tokens)
        self.starts_from_data = bool(starts_from_data)
        self.references = int(references)

    def build(self, input_shape: Any) -> None:
        """Creates the matrix for features of shape `input_shape`."""
        height, width, channels = known_grid(input_shape)
        self.input_spec = keras.layers.InputSpec(shape=(None, height, width, channels))
        self.grid = (height, width)
        self.reference = self.add_weight(
            shape=(self.references * height * width * self.tokens, channels),
            initializer=SeededNormal(1.0, derive_seed(self.seed, "reference")),
            name="reference",
        )
        if self.starts_from_data:
            self.started = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name="started"
            )

    @property
    def is_to_start(self) -> bool:
        """Whether `start` is to be called and never was, also before saving."""
        return self.starts_from_data and not ops.convert_to_numpy(self.started) > 0

    def start(self, tokens: Any) -> None:
        """Sets the reference, and notes that it was set.

        Args:
            tokens: float32 array (height, width, K, C).
        """
        self.reference.assign(np.reshape(tokens, self.reference.shape))
        self.started.assign(1.0)

    def forget_start(self) -> None:
        """Is to be started again, where it was started from data."""
        if self.starts_from_data:
            self.started.assign(0.0)

    def call(self, features: Any, numbers: Any = None) -> Any:
        """Returns the reference as a grid."""
        reference = ops.cast(self.reference, self.compute_dtype)
        height, width = self.grid
        shape = (self.references, height, width * self.tokens, reference.shape[-1])
        reference = ops.reshape(reference, shape)
        return reference if numbers is None else ops.take(reference, numbers, axis=0)

    def compute_output_shape(
        self, features_shape: Any, numbers_shape: Any = None
    ) -> Any:
        """Returns (1, height, width · K, C), or as many as there are numbers."""
        height, width, channels = features_shape[1:]
        count = self.references if numbers_shape is None else numbers_shape[0]
        return (count, height, width and width * self.tokens, channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "seed": self.seed,
            "tokens": self.tokens,
            "starts_from_data": self.starts_from_data,
            "references": self.references,
        }


def validate_tokens(tokens: Any) -> int:
    """Returns a number of reference tokens as an int.

    Raises:
        ValueError: If it is no whole number from 1 to 1000.
    """
    is_integer = isinstance(tokens, numbers.Integral) and not isinstance(tokens, bool)
    if not is_integer or not 1 <= tokens <= _MOST_TOKENS:
        raise ValueError(
            "The reference must have a whole number of tokens at each place, at least "
            f"1 and at most {_MOST_TOKENS}. Received: {tokens!r}."
        )
    return int(tokens)
