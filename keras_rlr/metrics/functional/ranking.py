"""AUROC, average precision and F1-max, exact: all from one ranking of the scores."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """The anomalous values of a data set, each with its place among the normal ones.

    Args:
        scores: Array (P,), the anomalous values, ascending.
        above: int64 array (P,), how many normal values are greater than each.
        not_below: int64 array (P,), how many are greater or equal.
        normal: Number of normal values.
    """

    scores: np.ndarray
    above: np.ndarray
    not_below: np.ndarray
    normal: int


def rank(positive: Any, score: Any, what: str) -> Ranking | None:
    """Ranks anomalous values among normal ones.

    Args:
        positive: Boolean array (M,), whether each value is anomalous.
        score: Array (M,), without NaN.
        what: The metric, for the warning.

    Returns:
        A `Ranking`, or None, with a `UserWarning`, if a class is absent.
    """
    return rank_values(score[positive], score[~positive], what)


def rank_values(anomalous: Any, normal: Any, what: str) -> Ranking | None:
    """Ranks anomalous values among normal ones; sorts both arrays in place."""
    if not anomalous.size or not normal.size:
        warnings.warn(
            f"{what} is undefined without both classes: received {anomalous.size} "
            f"anomalous and {normal.size} normal values. Returning NaN.",
            stacklevel=4,
        )
        return None
    normal.sort()
    # Sorted queries keep the binary searches in cache.
    anomalous.sort()
    return Ranking(
        scores=anomalous,
        above=normal.size - np.searchsorted(normal, anomalous, side="right"),
        not_below=normal.size - np.searchsorted(normal, anomalous, side="left"),
        normal=normal.size,
    )


def labels_and_scores(y_true: Any, y_score: Any) -> tuple[np.ndarray, np.ndarray]:
    """Boolean labels and scores, both flat, or a sentence why not.

    Raises:
        ValueError: If the shapes differ, a label is neither 0 nor 1, a score is NaN,
            or a value is masked.
    """
    refuse_masked(y_true, y_score)
    labels = np.asarray(y_true)
    score = np.asarray(y_score)
    if labels.shape != score.shape:
        raise ValueError(
            "`y_true` and `y_score` must have the same shape. Received "
            f"{labels.shape} and {score.shape}."
        )
    labels = labels.reshape(-1)
    score = score.reshape(-1)
    positive = labels.astype(bool, copy=False)
    if labels.dtype != bool and not np.array_equal(positive, labels):
        raise ValueError(
            "`y_true` must hold booleans or 0 (normal) and 1 (anomalous). Received "
            f"{labels[positive != labels][0]!r}; a mask needs `mask > 0`."
        )
    if score.dtype.kind not in "iufb":
        score = score.astype("float64")
    missing = int(np.isnan(score).sum())
    if missing:
        raise ValueError(
            f"`y_score` must hold no NaN. Received {missing} among {score.size} values."
        )
    return positive, score


def refuse_masked(*arrays: Any) -> None:
    """Refuses masked arrays of NumPy with values that are masked.

    Raises:
        ValueError: If there is one.
    """
    masked = [array for array in arrays if isinstance(array, np.ma.MaskedArray)]
    if any(map(np.ma.is_masked, masked)):
        raise ValueError(
            "Received a masked array with masked values, which would count as any "
            "others. Leave them out of both arrays: y_true[~mask], y_score[~mask]."
        )


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
