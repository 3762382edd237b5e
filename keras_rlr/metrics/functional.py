"""Exact metrics of NumPy arrays, as Python floats."""

import warnings

import numpy as np


def auroc(y_true, y_score):
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
    positive, score = _labels_and_scores(y_true, y_score)
    positives = score[positive]
    negatives = score[~positive]
    if not positives.size or not negatives.size:
        warnings.warn(
            f"AUROC is undefined without both classes: received {positives.size} "
            f"anomalous and {negatives.size} normal values. Returning NaN.",
            stacklevel=2,
        )
        return float("nan")
    negatives.sort()
    # Sorted queries keep the binary searches in cache.
    positives.sort()
    below = np.searchsorted(negatives, positives, side="left").sum(dtype="int64")
    not_above = np.searchsorted(negatives, positives, side="right").sum(dtype="int64")
    pairs = positives.size * negatives.size
    return (int(below) + int(not_above)) / (2 * pairs)


def _labels_and_scores(y_true, y_score):
    """Boolean labels and scores, both flat, or a sentence why not."""
    labels = np.asarray(y_true)
    score = np.asarray(y_score)
    if labels.shape != score.shape:
        raise ValueError(
            "`y_true` and `y_score` must have the same shape. Received "
            f"{labels.shape} and {score.shape}."
        )
    labels = labels.reshape(-1)
    score = score.reshape(-1)
    positive = labels.astype(bool)
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
