from typing import Any

import numpy as np

from keras_rlr.metrics.functional.average_precision import true_positives
from keras_rlr.metrics.functional.ranking import Ranking, labels_and_scores, rank


def f1_max(y_true: Any, y_score: Any) -> tuple[float, float]:
    """The largest F1 that any threshold attains, and that threshold.

    A value is called anomalous if its score is at least the threshold. With TP, FP
    and P the true positives, the false positives and all anomalous values:

        max_t 2 · TP(t) / (P + TP(t) + FP(t))

    It is what a threshold chosen on the test set would reach: a measure of
    separation, not of a threshold in use.

    Args:
        y_true: Array of any shape, boolean or 0 and 1; 1 is anomalous.
        y_score: Array of the same shape; higher is more anomalous. May be infinite,
            not NaN.

    Returns:
        Two floats: the value, in (0, 1], and the largest score that attains it as a
        threshold. Both NaN, with a `UserWarning`, if a class is absent.

    Raises:
        ValueError: If the shapes differ, a label is neither 0 nor 1, or a score is
            NaN.

    Example:

    >>> keras_rlr.metrics.functional.f1_max([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    (0.8, 0.35)
    """
    ranking = rank(*labels_and_scores(y_true, y_score), "F1-max")
    return (float("nan"),) * 2 if ranking is None else f1_max_of(ranking)


def f1_max_of(ranking: Ranking) -> tuple[float, float]:
    """Value and threshold of the largest F1 of a `Ranking`."""
    detected = true_positives(ranking)
    total = ranking.scores.size + detected + ranking.not_below
    # Scores ascend: the last of the largest is the largest threshold. Equal fractions
    # of integers below 2^53 divide to equal floats, so ties are seen as ties.
    f1 = 2 * detected / total
    best = f1.size - 1 - int(np.argmax(f1[::-1]))
    return float(f1[best]), float(ranking.scores[best])
