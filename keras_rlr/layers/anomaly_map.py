import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.layers.fused_levels import resampling_matrix
from keras_rlr.losses import token_error


@functools.lru_cache(maxsize=32)
def aligned_bilinear_weights(source: Any, target: Any) -> np.ndarray:
    """Matrix (target, source) that interpolates linearly with aligned corners."""
    if source == 1 or target == 1:
        weights = np.zeros((target, source), "float32")
        weights[:, 0] = 1.0
        return weights
    position = np.arange(target) * ((source - 1) / (target - 1))
    distance = np.abs(position[:, None] - np.arange(source)[None])
    return np.maximum(0.0, 1.0 - distance).astype("float32")


def upsample_map(
    token_map: Any, size: tuple[int, ...], align_corners: bool = True
) -> Any:
    """Returns a map of tokens at an image's size, interpolated linearly.

    Args:
        token_map: float32 tensor (batch, height, width).
        size: (height, width) of the result.
        align_corners: Whether the middles of the corner tokens lie in the middles of
            the corner pixels, or tokens cover their pixels evenly.
    """

    def weights(source, target):
        if align_corners:
            return aligned_bilinear_weights(source, target)
        return resampling_matrix(source, target, "bilinear")

    height, width = token_map.shape[1:3]
    rows, columns = weights(height, size[0]), weights(width, size[1])
    token_map = ops.matmul(token_map, ops.convert_to_tensor(columns.T))
    return ops.matmul(ops.convert_to_tensor(rows), token_map)


@keras.saving.register_keras_serializable(package="keras_rlr")
class AnomalyMap(keras.layers.Layer):
    """How badly each place of the image was reconstructed, over all levels.

    For each level, the error of a token is its mean squared difference over the
    channels plus 1 minus the cosine; the errors are upsampled bilinearly with
    aligned corners to `size` and averaged over the levels. Source: section 3.4 of
    the paper, with the mean square of the authors' implementation.

    Args:
        size: (height, width) of the map.

    Call arguments:
        features: List of tensors (batch, H, W, C), one a level, of any grid sizes.
        reconstructions: List of tensors of the same shapes.
        damping: None, or one τ a level: the damped cosine of `keras_rlr.losses`.

    Returns:
        float32 tensor (batch, *size), at least 0 up to rounding.

    Raises:
        ValueError: If the two lists differ in length or shapes.

    Example:

    >>> features = [np.ones((1, s, s, 8), "float32") for s in (16, 8)]
    >>> keras_rlr.layers.AnomalyMap(size=(64, 64))(features, features).shape
    (1, 64, 64)
    """

    def __init__(self, size: tuple[int, int] = (256, 256), **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.size = tuple(int(side) for side in size)

    def build(self, features_shape: Any, reconstructions_shape: Any = None) -> None:
        """Has no weights."""
        self.built = True

    def call(self, features: Any, reconstructions: Any, damping: Any = None) -> Any:
        """Returns the map of the batch."""
        if not isinstance(features, (list, tuple)):
            features, reconstructions = [features], [reconstructions]
        shapes = [tuple(tensor.shape) for tensor in features]
        other_shapes = [tuple(tensor.shape) for tensor in reconstructions]
        if not shapes or [s[1:] for s in shapes] != [s[1:] for s in other_shapes]:
            raise ValueError(
                "The anomaly map compares two lists of feature maps of the same "
                f"shapes. Received features {shapes} and reconstructions "
                f"{other_shapes}."
            )
        damping = [0.0] * len(features) if damping is None else damping
        maps = []
        for original, rebuilt, tau in zip(
            features, reconstructions, damping, strict=True
        ):
            error = token_error(original, rebuilt, tau)
            maps.append(upsample_map(error, self.size))
        return sum(maps[1:], maps[0]) / len(maps)

    def compute_output_shape(
        self, features_shape: Any, reconstructions_shape: Any = None
    ) -> Any:
        """Returns (batch, *size)."""
        first = features_shape
        # Keras' `summary` knows no shapes of a layer that was built without them.
        while first is not None and isinstance(first[0], (list, tuple)):
            first = first[0]
        return (None if first is None else first[0], *self.size)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "size": self.size}
