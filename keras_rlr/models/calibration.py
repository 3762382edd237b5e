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
        raise ValueError(
            f"A false-positive rate of {false_positive_rate:g} needs at least "
            f"{images_needed(false_positive_rate)} normal images to calibrate on. "
            f"Received {count}: give more images, or a rate of at least "
            f"{1.0 / (count + 1):.3g}."
        )
    return float(np.sort(scores)[rank - 1])


def category_thresholds(scores, categories, false_positive_rate):
    """Returns a threshold for each category that has images enough for one.

    Args:
        scores: Array (n,), as of `threshold_from_scores`.
        categories: List of n names; None where unknown.
        false_positive_rate: Share of normal images that may be called anomalous.

    Returns:
        Dict of Python floats by category, and the sorted names of the categories with
        too few images for the rate.
    """
    names = np.array(categories, object)
    thresholds, too_few = {}, []
    for name in sorted({name for name in categories if name is not None}):
        chosen = scores[names == name]
        if images_needed(false_positive_rate) > len(chosen):
            too_few.append(name)
        else:
            thresholds[name] = threshold_from_scores(chosen, false_positive_rate)
    return thresholds, too_few


def images_needed(false_positive_rate):
    """Returns how many normal images a false-positive rate needs at least."""
    return math.ceil(round(1.0 / false_positive_rate, 9)) - 1
