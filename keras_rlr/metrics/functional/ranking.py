"""How many normal values lie above each anomalous one: what every metric is made of.

Between two anomalous values no true positive is added, so recall, precision and F1
have their extremes, and the curves their corners, at the anomalous values alone.
They are few (one pixel in a hundred), which is why the normal values are sorted but
never paired with labels or indices: a test set of 142 million pixels takes one copy
of them.
"""

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
        ValueError: If the shapes differ, a label is neither 0 nor 1, or a score is
            NaN.
    """
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
