from typing import Any

import keras
from keras import ops

from keras_rlr.layers.initializers import SeededNormal, derive_seed, resolve_seed


@keras.saving.register_keras_serializable(package="keras_rlr")
class ReferenceWeights(keras.layers.Layer):
    """The learnable reference: one trainable token for each place of the grid.

    A matrix of height · width tokens by C channels, standard normal at first. It
    depends on no image; the call argument only tells the grid it belongs to.
    Source: section 3.2 of the paper.

    Args:
        seed: Seed of the initial values, or None to draw one.

    Call arguments:
        features: Tensor (batch, height, width, C); only its shape counts.

    Returns:
        Tensor (1, height, width, C) in the compute dtype.

    Raises:
        ValueError: If height, width or C is not static.

    Example:

    >>> reference = keras_rlr.layers.ReferenceWeights()
    >>> reference(np.zeros((2, 4, 5, 3), "float32")).shape
    (1, 4, 5, 3)
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = resolve_seed(seed)

    def build(self, input_shape: Any) -> None:
        """Creates the matrix for features of shape `input_shape`."""
        height, width, channels = input_shape[1:]
        if None in (height, width, channels):
            raise ValueError(
                "The reference belongs to one grid size: height, width and channels "
                f"must be known. Received features of shape {tuple(input_shape)}."
            )
        self.grid = (height, width)
        self.reference = self.add_weight(
            shape=(height * width, channels),
            initializer=SeededNormal(1.0, derive_seed(self.seed, "reference")),
            name="reference",
        )

    def call(self, features: Any) -> Any:
        """Returns the reference as a grid."""
        reference = ops.cast(self.reference, self.compute_dtype)
        return ops.reshape(reference, (1, *self.grid, -1))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the features with a batch of one."""
        return (1, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
