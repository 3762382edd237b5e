"""Thresholds from the scores of normal images alone."""

import math

import numpy as np


def threshold_from_scores(scores, false_positive_rate):
    """Returns the score from which on an image is called anomalous.

    The ⌈(n + 1)(1 - rate)⌉-th smallest of n scores of normal images: a new normal
    image exceeds it with a probability of at most `false_positive_rate`, whatever
    the distribution of the scores (split conformal prediction).

    Args:
        scores: Array (n,), scores of normal images not trained on.
        false_positive_rate: Share of normal images that may be called anomalous,
            above 0 and below 1.

    Returns:
        Python float.

    Raises:
        ValueError: If the rate is out of range, or there are too few images for it.
    """
    if not 0.0 < false_positive_rate < 1.0:
        raise ValueError(
            "`false_positive_rate` must be above 0 and below 1. Received: "
            f"{false_positive_rate!r}."
        )
    count = len(scores)
    rank = math.ceil(round((count + 1) * (1.0 - false_positive_rate), 9))
    if rank > count:
        needed = math.ceil(round(1.0 / false_positive_rate, 9)) - 1
        raise ValueError(
            f"A false-positive rate of {false_positive_rate:g} needs at least "
            f"{needed} normal images to calibrate on. Received {count}: give more "
            f"images, or a rate of at least {1.0 / (count + 1):.3g}."
        )
    return float(np.sort(scores)[rank - 1])
