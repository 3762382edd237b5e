import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

# So many of a category are kept: more say hardly more of how scores are distributed.
MOST_KEPT = 1000


@keras.saving.register_keras_serializable(package="keras_rlr")
class CalibrationScores(keras.layers.Layer):
    """The scores of the normal images that thresholds were taken from, by category.

    They are saved with the thresholds, so that scores of later images can be compared
    with them. They are no weights, and exports don't hold them.

    Example:

    >>> scores = keras_rlr.detectors.calibration_scores.CalibrationScores()
    >>> scores.set([3.0, 1.0, 2.0], ["nut", "nut", None])
    >>> scores.of("nut").tolist(), scores.of(None).tolist()
    ([1.0, 3.0], [1.0, 2.0, 3.0])
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Pairs, because Keras replaces dicts by its own. The name of all images is "",
        # which no folder of a category can have.
        self._samples: tuple[tuple[str, Any], ...] = ()
        self.built = True

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that there are scores of."""
        return tuple(name for name, _ in self._samples if name)

    def of(self, category: str | None) -> Any:
        """Scores of a category, ascending float32 array; None for those of all images.

        Empty where there are none: before calibration, and of files of versions that
        kept none.
        """
        for name, scores in self._samples:
            if name == (category or ""):
                return scores
        return np.zeros(0, "float32")

    def set(self, scores: Any, categories: Sequence[str | None]) -> None:
        """Replaces all scores.

        Args:
            scores: Array (n,), finite.
            categories: List of n names; None where unknown.
        """
        scores = np.asarray(scores, "float32")
        names = np.array(categories, object)
        found = sorted({name for name in categories if name})
        self._samples = (
            ("", _thinned(scores)),
            *((name, _thinned(scores[names == name])) for name in found),
        )

    def copy_from(self, other: "CalibrationScores") -> None:
        """Takes the scores of another model's thresholds.

        Args:
            other: Its `CalibrationScores`.
        """
        self._samples = other._samples

    def forget(self) -> None:
        """Removes all scores."""
        self._samples = ()

    def save_own_variables(self, store: Any) -> None:
        """Writes the scores, for Keras."""
        if not self._samples:
            return
        names, samples = zip(*self._samples, strict=True)
        store["names"] = np.frombuffer(json.dumps(names).encode(), "uint8")
        store["counts"] = np.array([len(scores) for scores in samples], "int64")
        store["scores"] = np.concatenate(samples)

    def load_own_variables(self, store: Any) -> None:
        """Reads the scores, for Keras; files of earlier versions have none."""
        self._samples = ()
        if "names" not in store:
            return
        names = json.loads(bytes(np.asarray(store["names"])))
        ends = np.cumsum(np.asarray(store["counts"]))
        parts = np.split(np.asarray(store["scores"], "float32"), ends[:-1])
        self._samples = tuple(zip(names, parts, strict=True))


def _thinned(scores):
    """Sorted scores; of very many, so many at even distances of rank."""
    scores = np.sort(scores)
    if len(scores) <= MOST_KEPT:
        return scores
    middles = (np.arange(MOST_KEPT) + 0.5) * len(scores) / MOST_KEPT
    return scores[middles.astype(int)]
