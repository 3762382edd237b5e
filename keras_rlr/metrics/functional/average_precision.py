from typing import Any

import numpy as np

from keras_rlr.metrics.functional.ranking import Ranking, labels_and_scores, rank


def average_precision(y_true: Any, y_score: Any) -> float:
    """Average precision: the mean precision over the anomalous values, exact with ties.

    With precision and recall at every distinct score as threshold, descending:

        Σ_k (recall_k - recall_{k-1}) · precision_k

    the definition of scikit-learn's `average_precision_score`, without interpolation.

    Args:
        y_true: Array of any shape, boolean or 0 and 1; 1 is anomalous.
        y_score: Array of the same shape; higher is more anomalous. May be infinite,
            not NaN.

    Returns:
        Float in [0, 1]; NaN, with a `UserWarning`, if a class is absent.

    Raises:
        ValueError: If the shapes differ, a label is neither 0 nor 1, or a score is
            NaN.

    Example:

    >>> value = keras_rlr.metrics.functional.average_precision(
    ...     [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]
    ... )
    >>> round(value, 4)
    0.8333
    """
    ranking = rank(*labels_and_scores(y_true, y_score), "Average precision")
    return float("nan") if ranking is None else average_precision_of(ranking)


def average_precision_of(ranking: Ranking) -> float:
    """The average precision of a `Ranking`."""
    detected = true_positives(ranking)
    return float(np.mean(detected / (detected + ranking.not_below)))


def true_positives(ranking: Ranking) -> np.ndarray:
    """How many anomalous values are at or above each of them; int64 array (P,)."""
    first = np.searchsorted(ranking.scores, ranking.scores, side="left")
    return ranking.scores.size - first
