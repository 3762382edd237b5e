"""How the normal images of each product score: mean and spread."""

import math
from typing import Any

import numpy as np

# The spread of a product's scores counts as so many images more at least, which vary as
# much as those of all products do: few images say little of their own spread.
PRIOR_IMAGES = 4
# Spreads that differ from the common one by more than ten times, of so many images,
# have nothing in common with it: by chance that is one of some thousands.
_APART, _ENOUGH_IMAGES = math.log(100), 6
# Then the spreads of all products are one, up to rounding.
_ALL_ALIKE = 1e9


def score_moments(scores: Any, groups: Any, count: int) -> tuple[Any, Any]:
    """Mean and spread of the scores of each category.

    The spread is that of a new score around the mean: the standard deviation of few
    images, and the mean's own error added. Both are drawn towards those of all
    categories, the more the less categories differ from each other beyond what so few
    images explain: where scores mean the same for all products already, what few
    images say of one would only add its errors.

    Args:
        scores: Array (images,).
        groups: int array (images,): the category of each.
        count: Number of categories. One without images gets what all images have.

    Returns:
        Two arrays (categories,).

    Source: DerSimonian and Laird, "Meta-analysis in clinical trials", 1986, for the
    variance between categories' means; Smyth, "Linear models and empirical Bayes
    methods for assessing differential expression in microarray experiments", 2004, for
    how much their variances differ.
    """
    numbers = np.bincount(groups, minlength=count).astype("float64")
    is_there = numbers > 0
    numbers = np.maximum(numbers, 1)
    means = np.bincount(groups, scores, count) / numbers
    means[~is_there] = scores.mean()
    squares = np.bincount(groups, np.square(scores - means[groups]), count)
    prior, common = _variance_in_common(squares, numbers - 1)
    # Scores in another unit altogether say nothing of each other's spread.
    own = squares / np.maximum(numbers - 1, 1)
    is_apart = (numbers >= _ENOUGH_IMAGES) & (own > 0)
    is_apart &= np.abs(np.log(np.maximum(own, 1e-300) / max(common, 1e-300))) > _APART
    priors = np.where(is_apart, 0, prior)
    variances = (squares + priors * common) / (numbers - 1 + priors)
    floor = 1e-6 * np.maximum(np.abs(means), 1e-6)
    errors = np.maximum(variances / numbers, floor**2)
    shares = np.ones(count)
    if is_there.sum() > 1:
        between = _variance_between(means[is_there], errors[is_there])
        shares[is_there] = between / (between + errors[is_there])
        weights = np.where(is_there, 1 / (between + errors), 0)
        common_mean = (weights * means).sum() / weights.sum()
        means = np.where(is_there, common_mean + shares * (means - common_mean), means)
    variances[~is_there] = scores.var()
    spreads = np.sqrt(variances * (1 + shares / numbers))
    return means, np.maximum(spreads, floor)


def _variance_in_common(squares: Any, freedom: Any) -> tuple[float, float]:
    """What the variances of categories are drawn towards, and as how many images.

    By how much the logarithms of their variances differ, beyond what so few images of
    normally distributed scores explain. Of others these differ more, and so few count.

    Args:
        squares: Array (categories,), the sum of squares around each mean.
        freedom: Array (categories,), in how many ways they were free to differ.

    Returns:
        Number of images, and the variance.
    """
    from scipy.special import digamma, polygamma

    is_spread = (squares > 0) & (freedom > 0)
    if is_spread.sum() < 2:
        return PRIOR_IMAGES, squares.sum() / max(freedom.sum(), 1)
    half = freedom[is_spread] / 2
    logarithms = np.log(squares[is_spread] / 2) - digamma(half)
    excess = logarithms.var(ddof=1) - polygamma(1, half).mean()
    prior = 2 * _inverse_of_trigamma(excess) if excess > 0 else _ALL_ALIKE
    prior = min(max(prior, PRIOR_IMAGES), _ALL_ALIKE)
    # Not their mean, which is that of the largest.
    center = logarithms.mean() + digamma(prior / 2) - math.log(prior / 2)
    return prior, math.exp(center)


def _inverse_of_trigamma(value: float) -> float:
    """The number of which the trigamma function has this value, by Newton's method."""
    from scipy.special import polygamma

    # From below, where each step comes nearer and none goes too far.
    number = 0.5 + 1 / value
    for _ in range(50):
        found = polygamma(1, number)
        step = found * (1 - found / value) / polygamma(2, number)
        number += step
        if abs(step) < 1e-8 * number:
            break
    return float(number)


def _variance_between(means: Any, errors: Any) -> float:
    """The variance of what means are estimates of, their errors' variances given."""
    weights = 1 / errors
    center = (weights * means).sum() / weights.sum()
    excess = (weights * np.square(means - center)).sum() - (len(means) - 1)
    # The sum less that of the squares by it, where one weight may be all that counts.
    before = np.concatenate([[0.0], np.cumsum(weights)[:-1]])
    after = np.concatenate([[0.0], np.cumsum(weights[::-1])[:-1]])[::-1]
    scale = (weights * ((before + after) / weights.sum())).sum()
    return max(excess / scale, 0.0)


def scores_left_out(scores: Any, groups: Any, count: int) -> Any:
    """Each score, standardised by the others of its category; NaN if there are none.

    Args:
        scores: Array (images,).
        groups: int array (images,): the category of each.
        count: Number of categories.
    """
    standardized = np.full(len(scores), math.nan)
    numbers = np.bincount(groups, minlength=count)
    everywhere = np.arange(len(scores))
    for i in np.flatnonzero(numbers[groups] > 1):
        others = everywhere != i
        means, spreads = score_moments(scores[others], groups[others], count)
        standardized[i] = (scores[i] - means[groups[i]]) / spreads[groups[i]]
    return standardized
