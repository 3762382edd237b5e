import json
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.detectors.category_statistics import CategoryStatistics

UNKNOWN = -1
# Differences that are worked out at a time: 64 MiB of float32.
_MOST_AT_ONCE = 2**24
_ARRAYS = ("means", "spreads", "discounts", "limit", "score_means", "score_spreads")


@keras.saving.register_keras_serializable(package="keras_rlr")
class KnownCategories(keras.layers.Layer):
    """Tells which product an image shows, by its features, in graphs too.

    That is the category with the nearest mean, in units of the spread within
    categories. What it knows are constants and no weights: a function that was
    compiled with them is to be made anew when they change.

    Example:

    >>> known = keras_rlr.detectors.known_categories.KnownCategories()
    >>> known.names
    ()
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._statistics: CategoryStatistics | None = None
        self.built = True

    @property
    def statistics(self) -> CategoryStatistics | None:
        """The `CategoryStatistics`, or None where none are known."""
        return self._statistics

    @property
    def names(self) -> tuple[str, ...]:
        """The categories, in the order of their numbers."""
        return () if self._statistics is None else self._statistics.names

    def set(self, statistics: CategoryStatistics | None) -> None:
        """Replaces all that is known.

        Args:
            statistics: The `CategoryStatistics`, or None to forget.
        """
        self._statistics = statistics

    def recognize(self, image_features: Any) -> tuple[Any, Any]:
        """Returns the nearest category of each image, and whether it is of any.

        Args:
            image_features: float32 array or tensor (batch, C).

        Returns:
            Tensors (batch,): int32 numbers of categories, and booleans.
        """
        known = self._statistics
        assert known is not None
        # Within the squares: OpenVINO multiplies means of several images wrongly.
        scales = np.sqrt(known.discounts)[:, None] / known.spreads
        means, scales = map(ops.convert_to_tensor, (known.means, scales))
        features = ops.expand_dims(image_features, 1)
        squares = ops.square((features - means[None]) * scales[None])
        distances = ops.mean(squares, axis=-1)
        least = ops.min(distances, axis=-1, keepdims=True)
        # Not `argmin`, which on TensorFlow has operators that LiteRT and ONNX have not:
        # the last number from behind is the first.
        from_behind = np.arange(len(known.names), dtype="float32")[::-1].copy()
        is_least = ops.less_equal(distances, least)
        last = ops.max(ops.where(is_least, from_behind[None], 0.0), axis=-1)
        nearest = ops.cast(len(known.names) - 1 - last, "int32")
        # What is no number is below nothing.
        return nearest, ops.less(least[:, 0], known.limit)

    def recognize_many(self, image_features: Any) -> tuple[Any, Any]:
        """As `recognize`, of any number of images, in a memory that does not grow.

        Args:
            image_features: float32 array (images, C), of one image at least.

        Returns:
            Arrays (images,): int32 numbers of categories, and booleans.
        """
        each = max(1, len(self.names) * image_features.shape[-1])
        size = max(1, _MOST_AT_ONCE // each)
        starts = range(0, len(image_features), size)
        parts = [
            self.recognize(image_features[start : start + size]) for start in starts
        ]
        nearest, is_known = (
            np.concatenate([ops.convert_to_numpy(part) for part in each])
            for each in zip(*parts, strict=True)
        )
        return nearest, is_known

    def comparable(self, scores: Any, numbers: Any) -> Any:
        """Returns scores in units that mean the same for every category.

        Args:
            scores: Array or tensor (batch,), the anomaly scores.
            numbers: int32 array or tensor (batch,), of categories.

        Returns:
            float32 tensor (batch,): how many spreads of its category's normal images
            each score lies above their mean.
        """
        known = self._statistics
        assert known is not None
        means, spreads = map(
            ops.convert_to_tensor, (known.score_means, known.score_spreads)
        )
        difference = ops.subtract(scores, ops.take(means, numbers, axis=0))
        return ops.divide(difference, ops.take(spreads, numbers, axis=0))

    def save_own_variables(self, store: Any) -> None:
        """Writes what is known, for Keras."""
        if self._statistics is None:
            return
        text = json.dumps(self.names).encode()
        store["names"] = np.frombuffer(text, "uint8")
        for name in _ARRAYS:
            store[name] = np.asarray(getattr(self._statistics, name), "float32")

    def load_own_variables(self, store: Any) -> None:
        """Reads what is known, for Keras; files of earlier versions have nothing."""
        self._statistics = None
        if "names" not in store:
            return
        arrays = {name: np.asarray(store[name], "float32") for name in _ARRAYS}
        limit = float(arrays.pop("limit"))
        names = tuple(json.loads(bytes(np.asarray(store["names"]))))
        self._statistics = CategoryStatistics(names=names, limit=limit, **arrays)
