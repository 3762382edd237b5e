from typing import Any

import keras
from keras import ops

from keras_rlr.layers.neighborhood import known_grid


@keras.saving.register_keras_serializable(package="keras_rlr")
class PositionGaussians(keras.layers.Layer):
    """Mahalanobis distance of each token to the Gaussian of its place.

    With the mean μ and the covariance Σ of a place, and Σ⁻¹ = W Wᵀ of a triangular W
    (the inverse of Σ's Cholesky factor, transposed), the distance √((x-μ)ᵀΣ⁻¹(x-μ)) of
    a token x is the length of (x-μ)W. Source: equation 2 of "PaDiM: a Patch
    Distribution Modeling Framework" (Defard et al., 2021).

    Args:
        grids: Number of grids that each have Gaussians of their own.
        **kwargs: See `keras.layers.Layer`.

    Call arguments:
        tokens: Tensor (batch, height, width, C); of several grids the rows are those of
            the first grid, the second and so on, and again.
        number: int32 tensor (1,): the grid that all rows are of, if it is one.

    Returns:
        float32 tensor (batch, height, width), at least 0.

    Example:

    >>> layer = keras_rlr.layers.PositionGaussians()
    >>> layer.build((None, 2, 2, 3))
    >>> layer.store(np.zeros((4, 3)), np.stack([np.eye(3)] * 4))
    >>> layer(np.ones((1, 2, 2, 3), "float32")).shape
    (1, 2, 2)
    """

    def __init__(self, grids: int = 1, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.grids = int(grids)

    def build(self, tokens_shape: Any) -> None:
        """Makes means of 0 and covariances of 1."""
        height, width, channels = known_grid(tokens_shape)
        # Of another grid, tokens of one place would be compared with another's.
        self.input_spec = keras.layers.InputSpec(shape=(None, height, width, channels))
        places = self.grids * height * width

        def weight(name, *shape):
            # Of a model whose `trainable` is set, too, they are no parameters.
            return self.add_weight(
                name=name, shape=shape, initializer="zeros", trainable=False
            )

        self.mean = weight("mean", places, channels)
        self.whitening = weight("whitening", places, channels, channels)
        self.built = True

    def store(self, mean: Any, whitening: Any) -> None:
        """Sets the Gaussians.

        Args:
            mean: Array (places, C), places row by row, one grid after the other.
            whitening: Array (places, C, C), W of each place.
        """
        self.mean.assign(mean)
        self.whitening.assign(whitening)

    def call(self, tokens: Any, number: Any = None) -> Any:
        """Returns the distance of each token."""
        height, width, channels = tokens.shape[1:]
        tokens = ops.cast(tokens, "float32")
        mean, whitening = self.mean, self.whitening
        if number is not None:
            mean, whitening = (self._of_grid(w, number) for w in (mean, whitening))
        centred = ops.reshape(tokens, (-1, mean.shape[0], channels)) - mean
        # Places first, so that each one's images meet its matrix in one product.
        white = ops.matmul(ops.transpose(centred, (1, 0, 2)), whitening)
        distance = ops.sqrt(ops.sum(ops.square(white), axis=-1))
        return ops.reshape(ops.transpose(distance), (-1, height, width))

    def _of_grid(self, weight, number):
        by_grid = ops.reshape(weight, (self.grids, -1, *weight.shape[1:]))
        return ops.take(by_grid, number, axis=0)[0]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "grids": self.grids}

    def compute_output_shape(self, tokens_shape: Any, number_shape: Any = None) -> Any:
        """Returns (batch, height, width)."""
        return tuple(tokens_shape)[:-1]
