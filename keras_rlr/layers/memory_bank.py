from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.checked_numbers import whole_number
from keras_rlr.keras_private import unlocked

# Of the distances of one image to a part of the bank, so many are in memory at once.
_MOST_DISTANCES = 2**22
DISTANCES = ("euclidean", "cosine")


def check_distance(distance: Any) -> str:
    """Returns a distance of a memory bank.

    Args:
        distance: A name in `DISTANCES`.

    Raises:
        ValueError: If it is another.
    """
    if distance not in DISTANCES:
        raise ValueError(
            f"`distance` must be 'euclidean' or 'cosine'. Received: {distance!r}."
        )
    return distance


@keras.saving.register_keras_serializable(package="keras_rlr")
class MemoryBank(keras.layers.Layer):
    """How far each token is from the nearest of the tokens that are stored.

    The search is exact: every token is compared with every stored one, a part of the
    bank at a time. The nearest is found by |x|² - 2x·m + |m|², which rounds; its
    distance is then computed anew from the difference. Source: equation 6 of "Towards
    Total Recall in Industrial Anomaly Detection" (Roth et al., 2022).

    Args:
        size: Number of stored tokens; `store` changes it. None is an empty bank.
        distance: "euclidean", or "cosine": 1 minus the cosine.
        reweighted_neighbors: Stored tokens around the nearest one by which the score
            is weighed (the paper's b); 0 does not weigh. A bank of one token has none
            to weigh by, and does not.

    Call arguments:
        tokens: Tensor (batch, height, width, C).
        with_score: Whether the score of each image is returned too: its largest
            distance s. With `reweighted_neighbors` it is s · (1 - exp|x - m| / Σₙ
            exp|x - n|) of the token x it is of, the stored token m that is nearest to
            x, and the neighbours n of m, itself among them (equation 7).

    Returns:
        float32 tensor (batch, height, width), at least 0; with the score a pair of it
        and a tensor (batch,).

    Raises:
        ValueError: If an argument is not possible.

    Example:

    >>> bank = keras_rlr.layers.MemoryBank()
    >>> bank.build((None, 4, 4, 8))
    >>> bank.store(np.eye(8, dtype="float32"))
    >>> bank(np.zeros((1, 4, 4, 8), "float32")).shape
    (1, 4, 4)
    """

    def __init__(
        self,
        size: int | None = None,
        distance: str = "euclidean",
        reweighted_neighbors: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        check_distance(distance)
        self.size = None if size is None else whole_number("size", size, 1)
        self.distance = distance
        self.reweighted_neighbors = whole_number(
            "reweighted_neighbors", reweighted_neighbors, 0
        )
        if self.reweighted_neighbors == 1:
            raise ValueError(
                "`reweighted_neighbors` counts the nearest token itself, so 1 would "
                "weigh by nothing else and make every score 0. Use 0, which does not "
                "weigh, or 2 and more; 9 is usual."
            )

    def build(self, tokens_shape: Any) -> None:
        """Makes the bank, of zeros; one that is empty has a row of them."""
        self.channels = int(tokens_shape[-1])
        # One channel would be broadcast to all.
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: self.channels})
        self._make()
        self.built = True

    def _make(self):
        self.patches = self.add_weight(
            name="patches",
            shape=(self.size or 1, self.channels),
            initializer="zeros",
            trainable=False,
        )

    @property
    def described_size(self) -> str | None:
        """What is stored and how much that is, in words, or None."""
        if self.size is None:
            return None
        return (
            f"a memory bank of {self.size} patches of {self.channels} channels, "
            f"{self.size * self.channels * 4 / 2**20:.1f} MiB"
        )

    def rows(self, tokens: Any) -> np.ndarray:
        """Returns tokens as they are stored.

        Args:
            tokens: Tensor (batch, height, width, C).

        Returns:
            float32 array (batch * height * width, C).
        """
        rows = ops.convert_to_numpy(self.normalized(tokens))
        return np.asarray(rows, "float32").reshape(-1, rows.shape[-1])

    def store(self, rows: Any) -> None:
        """Replaces what is stored; compiled functions that use it are to be made anew.

        Args:
            rows: float32 array (size, C), of those that `rows` returned.
        """
        if rows.shape[0] != self.patches.shape[0]:
            self.size = int(rows.shape[0])
            with unlocked(self):
                del self.patches
                self._make()
        self.size = int(rows.shape[0])
        self.patches.assign(rows)

    def forget(self) -> None:
        """Empties the bank; as of `store`, functions are to be made anew."""
        self.store(np.zeros((1, self.channels), "float32"))
        self.size = None

    def load_own_variables(self, store: Any) -> None:
        """As Keras' method; the bank takes the size of what was saved.

        Args:
            store: What `save_own_variables` filled.
        """
        rows = np.asarray(store["0"])
        # An empty bank was saved as one row of zeros.
        if len(rows) == 1 and not rows.any():
            self.size = None
        elif rows.ndim == 2 and rows.shape[1] == self.channels:
            self.store(rows)
        super().load_own_variables(store)

    def normalized(self, tokens: Any) -> Any:
        """Returns tokens as they are compared: for cosines at length 1.

        Args:
            tokens: Tensor (..., C).
        """
        if self.distance == "euclidean":
            return tokens
        squares = ops.sum(ops.square(tokens), axis=-1, keepdims=True)
        return tokens / ops.sqrt(ops.maximum(squares, 1e-12))

    def call(self, tokens: Any, with_score: bool = False) -> Any:
        """Returns the distance of each token to the nearest, and the score if asked."""
        tokens = ops.cast(tokens, "float32")
        height, width, channels = tokens.shape[1:]
        flat = ops.reshape(self.normalized(tokens), (-1, channels))
        nearest = self._nearest(flat, height * width)
        stored = ops.take(self.patches, nearest, axis=0)
        distances = self._distance(flat, stored)
        grid = ops.reshape(distances, (-1, height, width))
        if not with_score:
            return grid
        of_images = (-1, height * width)
        flat = ops.reshape(flat, (*of_images, channels))
        distances = ops.reshape(distances, of_images)
        return grid, self._score(flat, distances, ops.reshape(nearest, of_images))

    def _nearest(self, flat, tokens_an_image):
        lowest = position = None
        # The same for both; without it |x|² and |m|² are large, and round more.
        middle = ops.mean(self.patches, axis=0)
        flat = flat - middle
        length = max(256, _MOST_DISTANCES // tokens_an_image)
        size = self.patches.shape[0]
        for start in range(0, size, length):
            part = self.patches[start : min(start + length, size)] - middle
            # |x|² is the same for all of them.
            distances = ops.sum(ops.square(part), axis=-1) - 2.0 * ops.matmul(
                flat, ops.transpose(part)
            )
            found = _position_of_smallest(distances) + start
            value = ops.min(distances, axis=-1)
            if lowest is None:
                lowest, position = value, found
            else:
                position = ops.where(value < lowest, found, position)
                lowest = ops.minimum(value, lowest)
        return position

    def _distance(self, first, second):
        squares = ops.sum(ops.square(first - second), axis=-1)
        # Between vectors of length 1, |a - b|² = 2 (1 - cosine).
        return ops.sqrt(squares) if self.distance == "euclidean" else squares / 2.0

    def _score(self, tokens, distances, nearest):
        largest = ops.max(distances, axis=-1)
        # Not every runtime lets NaN through a maximum.
        mean = ops.mean(distances, axis=-1)
        largest = ops.where(ops.isnan(mean), mean, largest)
        count = min(self.reweighted_neighbors, self.patches.shape[0])
        # Of the nearest alone the weight would be 0.
        if count < 2:
            return largest
        worst = ops.expand_dims(_position_of_smallest(-distances), -1)
        token = ops.take_along_axis(tokens, ops.expand_dims(worst, -1), axis=1)
        nearest = ops.take_along_axis(nearest, worst, axis=1)[:, 0]
        stored = ops.take(self.patches, nearest, axis=0)
        apart = ops.sum(ops.square(self.patches), axis=-1) - 2.0 * ops.matmul(
            stored, ops.transpose(self.patches)
        )
        neighbors = ops.top_k(-apart, count)[1]
        around = ops.take(self.patches, neighbors, axis=0)
        lengths = ops.sqrt(ops.sum(ops.square(around - token), axis=-1))
        own = ops.sqrt(ops.sum(ops.square(stored - token[:, 0]), axis=-1))
        # Subtracted from all exponents, or they would overflow.
        highest = ops.max(lengths, axis=-1, keepdims=True)
        total = ops.sum(ops.exp(lengths - highest), axis=-1)
        return largest * (1.0 - ops.exp(own - highest[:, 0]) / total)

    def compute_output_shape(self, tokens_shape: Any) -> Any:
        """Returns (batch, height, width), the shape of the distances."""
        return tuple(tokens_shape)[:-1]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "distance": self.distance,
            "reweighted_neighbors": self.reweighted_neighbors,
        }


def _position_of_smallest(values):
    """int32 positions along the last axis; NaN may come first."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Keras' function tells 0 from -0, by operations that LiteRT lacks.
        return tf.argmin(values, axis=-1, output_type="int32")
    return ops.cast(ops.argmin(values, axis=-1), "int32")
