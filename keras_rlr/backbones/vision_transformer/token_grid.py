from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rlr")
class TokenGrid(keras.layers.Layer):
    """The mean of several blocks' tokens as a feature map.

    The class token and the registers, which belong to no place, are left out.

    Args:
        grid: (height, width) of the token grid.

    Call arguments:
        blocks: List of tensors (batch, tokens, channels); of the tokens the last
            height · width are those of the grid.

    Returns:
        Tensor (batch, height, width, channels).
    """

    def __init__(self, grid: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def call(self, blocks: Any) -> Any:
        """Returns the map."""
        total = sum(blocks[1:], start=blocks[0])
        mean = total * (1.0 / len(blocks)) if len(blocks) > 1 else total
        height, width = self.grid
        first = mean.shape[1] - height * width
        return ops.reshape(mean[:, first:], (-1, height, width, mean.shape[-1]))

    def compute_output_shape(self, blocks_shape: Any) -> Any:
        """Returns (batch, height, width, channels)."""
        return (blocks_shape[0][0], *self.grid, blocks_shape[0][-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "grid": self.grid}
