import json
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_rlr.detectors.calibration import (
    MARGINS,
    category_thresholds,
    decide,
    images_needed,
    threshold_from_scores,
)

_FILE = "category_thresholds.json"


@keras.saving.register_keras_serializable(package="keras_rlr")
class DecisionThresholds(keras.layers.Layer):
    """The scores from which on images are anomalous, saved with a model.

    One threshold is for all images; categories may have their own.

    Example:

    >>> thresholds = keras_rlr.detectors.decision_thresholds.DecisionThresholds()
    >>> round(thresholds.calibrate(np.arange(100.0), [None] * 100, 0.05), 4)
    95.0095
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Pairs, because Keras replaces dicts by its own, which it empties on loading.
        self._by_category: tuple[tuple[str, float], ...] = ()
        # NaN until calibrated; a weight, so that exports hold it.
        self.threshold_weight = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(float("nan")),
            trainable=False,
            dtype="float32",
            name="threshold",
        )
        self.built = True

    @property
    def threshold(self):
        """The threshold of all images, or None before `calibrate`."""
        value = float(ops.convert_to_numpy(self.threshold_weight))
        return None if np.isnan(value) else value

    @property
    def by_category(self):
        """Dict of the categories' own thresholds."""
        return dict(self._by_category)

    def of(self, category):
        """The threshold of a category: its own, or that of all images."""
        return self.by_category.get(category, self.threshold)

    def decide(self, scores, categories):
        """Returns whether images are anomalous, by their categories' thresholds.

        Args:
            scores: Array (n,).
            categories: List of n names; None where unknown.

        Returns:
            Boolean array (n,); True where a score is no finite number, with a warning.
        """
        unknown = int((~np.isfinite(scores)).sum())
        if unknown:
            warnings.warn(
                f"{unknown} of {len(scores)} anomaly scores are NaN or infinite; these "
                "images are called anomalous, because nothing is known of them. The "
                "model's training diverged, or its numbers overflow in this precision.",
                stacklevel=3,
            )
        return decide(scores, [self.of(name) for name in categories])

    def calibrate(
        self, scores, categories, false_positive_rate, compute_dtype="float32"
    ):
        """Takes thresholds from the scores of normal images.

        Args:
            scores: Array (n,).
            categories: List of n names; None where unknown.
            false_positive_rate: Share of new normal images called anomalous.
            compute_dtype: What the model computes in: sets the margin between the
                scores and the thresholds.

        Returns:
            The threshold of all images, a Python float.

        Raises:
            ValueError: If there are too few images for the rate.
            FloatingPointError: If a score is NaN or infinite.
        """
        margin = MARGINS[compute_dtype]
        threshold = threshold_from_scores(scores, false_positive_rate, margin)
        own, too_few = category_thresholds(
            scores, categories, false_positive_rate, margin
        )
        if too_few:
            warnings.warn(
                f"A false-positive rate of {false_positive_rate:g} needs "
                f"{images_needed(false_positive_rate)} normal images of a category for "
                f"a threshold of its own. There are fewer of {', '.join(too_few)}: the "
                "threshold of all categories together holds there.",
                stacklevel=3,
            )
        self.threshold_weight.assign(threshold)
        self._by_category = tuple(sorted(own.items()))
        return self.threshold

    def copy_from(self, other):
        """Replaces the thresholds by those of another model's."""
        self.threshold_weight.assign(ops.convert_to_numpy(other.threshold_weight))
        self._by_category = other._by_category

    def forget(self):
        """Removes all thresholds."""
        self.threshold_weight.assign(float("nan"))
        self._by_category = ()

    def save_assets(self, dir_path):
        """Writes the categories' thresholds, for Keras."""
        text = json.dumps(self.by_category)
        Path(dir_path, _FILE).write_text(text, encoding="utf-8")

    def load_assets(self, dir_path):
        """Reads the categories' thresholds, for Keras."""
        read = json.loads(Path(dir_path, _FILE).read_text(encoding="utf-8"))
        self._by_category = tuple((name, float(value)) for name, value in read.items())
