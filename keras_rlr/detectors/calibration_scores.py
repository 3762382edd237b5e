import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_rlr.inputs.image_measures import MEASURES

# So many of a category are kept: more say hardly more of how scores are distributed.
MOST_KEPT = 1000


@keras.saving.register_keras_serializable(package="keras_rlr")
class CalibrationScores(keras.layers.Layer):
    """The scores of the normal images that thresholds were taken from, by category.

    And what was measured of these images, if anything was. They are saved with the
    thresholds, so that later images can be compared with them. They are no weights, and
    exports don't hold them.

    Example:

    >>> scores = keras_rlr.detectors.calibration_scores.CalibrationScores()
    >>> scores.set([3.0, 1.0, 2.0], ["nut", "nut", None], {"brightness": [0.1, 0.2, 0]})
    >>> scores.of("nut").tolist(), scores.of(None).tolist()
    ([1.0, 3.0], [1.0, 2.0, 3.0])
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Tuples, because Keras replaces dicts by its own. The name of all images is "",
        # which no folder of a category can have; that of scores None.
        self._samples: tuple[tuple[str, str | None, Any], ...] = ()
        self.built = True

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that there are scores of."""
        return tuple(name for name, of, _ in self._samples if name and of is None)

    @property
    def measures(self) -> tuple[str, ...]:
        """What was measured of the images; of files of earlier versions nothing."""
        return tuple(of for name, of, _ in self._samples if of and not name)

    def of(self, category: str | None, measure: str | None = None) -> Any:
        """Scores of a category, ascending float32 array; None for those of all images.

        Empty where there are none: before calibration, and of files of versions that
        kept none.

        Args:
            category: Name of the category, or None.
            measure: Name of what was measured, to have that in place of scores.
        """
        for name, of, values in self._samples:
            if (name, of) == (category or "", measure):
                return values
        return np.zeros(0, "float32")

    def set(
        self, scores: Any, categories: Sequence[str | None], measures: Any = None
    ) -> None:
        """Replaces all scores.

        Args:
            scores: Array (n,), finite.
            categories: List of n names; None where unknown.
            measures: Dict of arrays (n,), finite: what was measured of the images, by
                name; or None.
        """
        names = np.array(categories, object)
        found = sorted({name for name in categories if name})
        samples = []
        for of, given in {None: scores, **(measures or {})}.items():
            values = np.asarray(given, "float32")
            samples.append(("", of, _thinned(values)))
            samples += [(name, of, _thinned(values[names == name])) for name in found]
        self._samples = tuple(samples)

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
        names = ["", *self.categories]
        counts = [len(self.of(name)) for name in names]
        store["names"] = np.frombuffer(json.dumps(names).encode(), "uint8")
        store["counts"] = np.array(counts, "int64")
        for measure in (None, *self.measures):
            values = [self.of(name, measure) for name in names]
            store[measure or "scores"] = np.concatenate(values)

    def load_own_variables(self, store: Any) -> None:
        """Reads the scores, for Keras; files of earlier versions have none."""
        self._samples = ()
        if "names" not in store:
            return
        names = json.loads(bytes(np.asarray(store["names"])))
        ends = np.cumsum(np.asarray(store["counts"]))
        samples = []
        for of in (None, *MEASURES):
            if (of or "scores") not in store:
                continue
            together = np.asarray(store[of or "scores"], "float32")
            parts = np.split(together, ends[:-1])
            samples += [
                (name, of, part) for name, part in zip(names, parts, strict=True)
            ]
        self._samples = tuple(samples)


def _thinned(scores):
    """Sorted scores; of very many, so many at even distances of rank."""
    scores = np.sort(scores)
    if len(scores) <= MOST_KEPT:
        return scores
    middles = (np.arange(MOST_KEPT) + 0.5) * len(scores) / MOST_KEPT
    return scores[middles.astype(int)]
