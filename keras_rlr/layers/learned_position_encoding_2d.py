from typing import Any

import keras
from keras import ops

from keras_rlr.layers.initializers import SeededUniform, derive_seed, resolve_seed


@keras.saving.register_keras_serializable(package="keras_rlr")
class LearnedPositionEncoding2D(keras.layers.Layer):
    """A learned code of column and row.

    The first half of the channels is a vector of the token's column, the second one of
    its row; both are learned, and uniform in [0, 1) at first, as in the published
    implementations of DETR and UniAD.

    Args:
        seed: Seed of the initial values, or None to draw one.

    Call arguments:
        tokens: Tensor (batch, height, width, D); only its shape counts.

    Returns:
        Tensor (1, height, width, D) in the compute dtype, to be added to the tokens.

    Raises:
        ValueError: If D is odd.

    Example:

    >>> encoding = keras_rlr.layers.LearnedPositionEncoding2D()
    >>> encoding(np.zeros((2, 4, 5, 8), "float32")).shape
    (1, 4, 5, 8)
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = resolve_seed(seed)

    def build(self, input_shape: Any) -> None:
        """Creates the vectors for the grid of `input_shape`."""
        height, width, dim = input_shape[1:]
        if dim % 2:
            raise ValueError(
                "The position code needs an even width, one half for the column and "
                f"one for the row. Received tokens of width {dim}."
            )

        self.input_spec = keras.layers.InputSpec(shape=(None, height, width, dim))

        def vectors(name, count):
            uniform = SeededUniform(0.5, derive_seed(self.seed, name))
            return self.add_weight(
                shape=(count, dim // 2),
                initializer=lambda shape, dtype: uniform(shape, dtype) + 0.5,
                name=name,
            )

        self.columns = vectors("columns", width)
        self.rows = vectors("rows", height)
        self.built = True

    def call(self, tokens: Any) -> Any:
        """Returns the code of the grid."""
        height, width, dim = tokens.shape[1:]
        columns = ops.cast(self.columns, self.compute_dtype)[None, None]
        rows = ops.cast(self.rows, self.compute_dtype)[None, :, None]
        shape = (1, height, width, dim // 2)
        parts = [ops.broadcast_to(part, shape) for part in (columns, rows)]
        return ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the tokens with a batch of one."""
        return (1, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
