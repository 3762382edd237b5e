from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rlr")
class PositionGaussians(keras.layers.Layer):
    """Mahalanobis distance of each token to the Gaussian of its place.

    With the mean μ and the covariance Σ of a place, and Σ⁻¹ = W Wᵀ of a triangular W
    (the inverse of Σ's Cholesky factor, transposed), the distance √((x-μ)ᵀΣ⁻¹(x-μ)) of
    a token x is the length of (x-μ)W. Source: equation 2 of "PaDiM: a Patch
    Distribution Modeling Framework" (Defard et al., 2021).

    Args:
        **kwargs: See `keras.layers.Layer`.

    Call arguments:
        tokens: Tensor (batch, height, width, C).

    Returns:
        float32 tensor (batch, height, width), at least 0.

    Example:

    >>> layer = keras_rlr.layers.PositionGaussians()
    >>> layer.build((None, 2, 2, 3))
    >>> layer.store(np.zeros((4, 3)), np.stack([np.eye(3)] * 4))
    >>> layer(np.ones((1, 2, 2, 3), "float32")).shape
    (1, 2, 2)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})

    def build(self, tokens_shape: Any) -> None:
        """Makes means of 0 and covariances of 1."""
        height, width, channels = tokens_shape[1:]
        places = height * width
        self.mean = self.add_weight(
            name="mean", shape=(places, channels), initializer="zeros"
        )
        self.whitening = self.add_weight(
            name="whitening", shape=(places, channels, channels), initializer="zeros"
        )
        self.built = True

    def store(self, mean: Any, whitening: Any) -> None:
        """Sets the Gaussians.

        Args:
            mean: Array (places, C), places row by row.
            whitening: Array (places, C, C), W of each place.
        """
        self.mean.assign(mean)
        self.whitening.assign(whitening)

    def call(self, tokens: Any) -> Any:
        """Returns the distance of each token."""
        height, width, channels = tokens.shape[1:]
        centred = ops.reshape(tokens, (-1, height * width, channels)) - self.mean
        # Places first, so that each one's images meet its matrix in one product.
        white = ops.matmul(ops.transpose(centred, (1, 0, 2)), self.whitening)
        distance = ops.sqrt(ops.sum(ops.square(white), axis=-1))
        return ops.reshape(ops.transpose(distance), (-1, height, width))

    def compute_output_shape(self, tokens_shape: Any) -> Any:
        """Returns (batch, height, width)."""
        return tuple(tokens_shape)[:-1]
