from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rlr")
class PatchTokens(keras.layers.Layer):
    """Images to the tokens that the first block of a vision transformer sees.

    A patch becomes a token by a linear layer; its position is added. In front stand the
    class token and the registers, which are the same for all images.

    Args:
        width: Channels of a token.
        patch_size: Side of a patch in pixels.
        num_prefix: Tokens in front: the class token and the registers.

    Call arguments:
        images: Tensor (batch, height, width, 3), multiples of the patch.

    Returns:
        Tensor (batch, num_prefix + patches, width).
    """

    def __init__(
        self, width: int, patch_size: int, num_prefix: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width = int(width)
        self.patch_size = int(patch_size)
        self.num_prefix = int(num_prefix)

    def build(self, images_shape: Any) -> None:
        """Creates the projection, the prefix and the positions of the grid."""
        self.projection = keras.layers.Conv2D(
            self.width,
            self.patch_size,
            strides=self.patch_size,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            # Keras' default may be another on the user's machine.
            data_format="channels_last",
            name="projection",
            dtype=self.dtype_policy,
        )
        self.projection.build(images_shape)
        height, width = (side // self.patch_size for side in images_shape[1:3])
        small = keras.initializers.TruncatedNormal(stddev=0.02)
        self.prefix = self.add_weight(
            shape=(1, self.num_prefix, self.width), initializer=small, name="prefix"
        )
        self.positions = self.add_weight(
            shape=(1, height * width, self.width), initializer=small, name="positions"
        )

    def call(self, images: Any) -> Any:
        """Returns the tokens."""
        count = self.positions.shape[1]
        tokens = ops.reshape(self.projection(images), (-1, count, self.width))
        tokens = tokens + self.positions
        # Not by a broadcast to the batch's size, which exports don't know.
        prefix = ops.zeros_like(tokens[:, :1]) + self.prefix
        return ops.concatenate([prefix, tokens], axis=1)

    def compute_output_shape(self, images_shape: Any) -> Any:
        """Returns the shape of the tokens."""
        height, width = (side // self.patch_size for side in images_shape[1:3])
        return (images_shape[0], self.num_prefix + height * width, self.width)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "width": self.width,
            "patch_size": self.patch_size,
            "num_prefix": self.num_prefix,
        }
