import functools
from typing import Any

import keras
import numpy as np
from keras import ops


@functools.lru_cache(maxsize=16)
def position_code(height: int, width: int, dim: int) -> np.ndarray:
    """The fixed code as a float32 array (height, width, dim)."""
    quarter = np.arange(dim // 4)
    frequency = 10000.0 ** (-2.0 * quarter / (dim // 2))

    def code(positions):
        angle = np.arange(positions)[:, None] * frequency
        return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(positions, -1)

    half = dim // 2
    columns = np.broadcast_to(code(width)[None], (height, width, half))
    rows = np.broadcast_to(code(height)[:, None], (height, width, half))
    return np.concatenate([columns, rows], -1).astype("float32")


@keras.saving.register_keras_serializable(package="keras_rlr")
class SinePositionEncoding2D(keras.layers.Layer):
    """Fixed two-dimensional sine and cosine position code.

    The first half of the channels codes the column, the second half the row. With
    positions p = 0, 1, … and h = D / 2 channels in each half, channel 2i holds
    sin(p / 10000^(2i/h)) and channel 2i + 1 the cosine. Nothing is learned or saved.
    Source: the authors' implementation (the paper does not give it).

    Call arguments:
        tokens: Tensor (batch, height, width, D); only its shape counts.

    Returns:
        Tensor (1, height, width, D) in the compute dtype, to be added to the tokens.

    Raises:
        ValueError: If D is not divisible by 4.

    Example:

    >>> encoding = keras_rlr.layers.SinePositionEncoding2D()
    >>> encoding(np.zeros((2, 4, 5, 8), "float32")).shape
    (1, 4, 5, 8)
    """

    def build(self, input_shape: Any) -> None:
        """Checks the width of the tokens."""
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: input_shape[-1]})
        if input_shape[-1] % 4:
            raise ValueError(
                "The position code needs a width divisible by 4 (sine and cosine of "
                f"row and column). Received tokens of width {input_shape[-1]}."
            )

    def call(self, tokens: Any) -> Any:
        """Returns the code of the grid of `tokens`."""
        code = position_code(*tokens.shape[1:])
        return ops.convert_to_tensor(code[None], dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the tokens with a batch of one."""
        return (1, *input_shape[1:])
