"""Thresholds of scores of normal images: NumPy in, numbers out."""

import math
from numbers import Real

import numpy as np

# A threshold lies this share above the score that set it. The score of one image
# differs in its last bits between a model, its compact copy, its exports and sizes of
# batches; without a margin the image that set the threshold would be anomalous in some
# of them. By the dtype that a model computes in; float32's is what exports may differ.
MARGINS = {"float64": 1e-4, "float32": 1e-4, "float16": 2e-3, "bfloat16": 1e-2}
_SMALLEST_MARGIN = 1e-12  # for scores of 0


def refuse_not_finite(scores, purpose, what="anomaly scores"):
    """Refuses scores that are NaN or infinite.

    Args:
        scores: Array (n,).
        purpose: What can't be done with them, for the message.
        what: What they are, for the message.

    Raises:
        FloatingPointError: Naming how many there are, and the first.
    """
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise FloatingPointError(
            f"{len(bad)} of {len(scores)} {what} are not finite numbers (the "
            f"first is that of image {bad[0]}), so the model can't {purpose}. Its "
            "training diverged, or its numbers overflow in this precision: train again "
            "with a lower learning rate, or build the model in float32."
        )


def threshold_from_scores(scores, false_positive_rate, margin=MARGINS["float32"]):
    """Returns the score from which on an image is called anomalous.

    The ⌈(n + 1)(1 - rate)⌉-th smallest of n scores of normal images, and a margin: a
    new normal image exceeds it with a probability of at most `false_positive_rate`,
    whatever the distribution of the scores (split conformal prediction).

    Args:
        scores: Array (n,), scores of normal images not trained on.
        false_positive_rate: Share of normal images that may be called anomalous,
            above 0 and below 1.
        margin: Share of the score that the threshold lies above it, see `MARGINS`.

    Returns:
        Python float.

    Raises:
        ValueError: If the rate is out of range, or there are too few images for it.
        FloatingPointError: If a score is NaN or infinite.
    """
    is_number = isinstance(false_positive_rate, Real)
    if not (is_number and 0.0 < false_positive_rate < 1.0):
        raise ValueError(
            "`false_positive_rate` must be a number above 0 and below 1. Received: "
            f"{false_positive_rate!r}."
        )
    refuse_not_finite(scores, "be calibrated")
    count = len(scores)
    rank = rank_of_threshold(count, false_positive_rate)
    if rank > count:
        raise ValueError(
            f"A false-positive rate of {false_positive_rate:g} needs at least "
            f"{images_needed(false_positive_rate)} normal images to calibrate on. "
            f"Received {count}: give more images, or a rate of at least "
            f"{1.0 / (count + 1):.3g}."
        )
    return with_margin(float(np.sort(scores)[rank - 1]), margin)


def rank_of_threshold(count, false_positive_rate):
    """Which of so many scores, the smallest first, sets a threshold; from 1 on."""
    # Rounded: 0.95 times 20 is 19.
    return math.ceil(round((count + 1) * (1.0 - false_positive_rate), 9))


def with_margin(score, margin):
    """A threshold so far above the score that set it that rounding decides nothing."""
    return score + max(margin * abs(score), _SMALLEST_MARGIN)


def category_thresholds(
    scores, categories, false_positive_rate, margin=MARGINS["float32"]
):
    """Returns a threshold for each category that has images enough for one.

    Args:
        scores: Array (n,), as of `threshold_from_scores`.
        categories: List of n names; None where unknown.
        false_positive_rate: Share of normal images that may be called anomalous.
        margin: As of `threshold_from_scores`.

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
            thresholds[name] = threshold_from_scores(
                chosen, false_positive_rate, margin
            )
    return thresholds, too_few


def images_needed(false_positive_rate):
    """Returns how many normal images a false-positive rate needs at least."""
    return math.ceil(round(1.0 / false_positive_rate, 9)) - 1
