from typing import Any

from keras_rlr.metrics.functional.ranking import Ranking, labels_and_scores, rank


def auroc(y_true: Any, y_score: Any) -> float:
    """Area under the receiver operating characteristic, exact with ties.

    The share of pairs of an anomalous and a normal value in which the anomalous one
    has the higher score, a tie counting one half (the Mann-Whitney statistic):

        Σ_p Σ_n ([s_p > s_n] + ½ [s_p = s_n]) / (P · N)

    It is computed by sorting, in O(M log M) for M values; pairs are counted as
    integers, so nothing is rounded before the one division.

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

    >>> keras_rlr.metrics.functional.auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    ranking = rank(*labels_and_scores(y_true, y_score), "AUROC")
    return float("nan") if ranking is None else auroc_of(ranking)


def auroc_of(ranking: Ranking) -> float:
    """The AUROC of a `Ranking`."""
    pairs = ranking.scores.size * ranking.normal
    lost = int(ranking.above.sum()) + int(ranking.not_below.sum())
    return (2 * pairs - lost) / (2 * pairs)
