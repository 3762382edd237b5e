"""What normal images say of each product: how it looks, and its thresholds."""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_rlr.detectors.score_moments import score_moments, scores_left_out
from keras_rlr.detectors.score_thresholds import rank_of_threshold

# An image is of no known product if it is twice as far (in squares, four times) from
# the nearest one as nearly all held-out normal images. An anomaly moves an image too.
UNKNOWN_FACTOR = 4.0
# Products that look so much alike that fewer are recognised right are not told apart.
LEAST_RECOGNIZED = 0.9
# No channel counts more than one of this share of the channels' median spread.
_LEAST_SPREAD = 0.1
# By so much, as a share of the largest, features of the same image may differ.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class CategoryStatistics:
    """How each category looks and how its normal images score.

    Args:
        names: The categories, sorted.
        means: float32 array (categories, C): the mean of the image features.
        spreads: float32 array (C,): their standard deviation within categories.
        discounts: float32 array (categories,), n / (n + 1) of n images: a mean of few
            is farther from a new image.
        limit: Distance from which on an image is of no known category.
        score_means: float32 array (categories,), of normal images.
        score_spreads: float32 array (categories,): by how much a new normal image's
            score differs from the mean.
    """

    names: tuple[str, ...]
    means: Any
    spreads: Any
    discounts: Any
    limit: float
    score_means: Any
    score_spreads: Any


@dataclass(frozen=True, eq=False)
class Appearance:
    """How categories look; arrays as of `CategoryStatistics`.

    Of `tested` images, each compared with the others, `right` were recognised. What is
    nearer than `limit` is known already. Where the images of each category are the
    same, rounding apart, nothing `varies`, and the spreads say nothing.
    """

    names: tuple[str, ...]
    means: Any
    spreads: Any
    counts: Any
    tested: int = 0
    right: int = 0
    limit: float = 0.0
    varies: bool = True

    @property
    def discounts(self) -> Any:
        """The shares n / (n + 1) of each category's n images."""
        return self.counts / (self.counts + 1.0)

    def distances(self, features: Any) -> Any:
        """Mean square of the standardised differences, array (images, categories)."""
        # By products: all differences of hundreds of categories would fill the memory.
        center = self.means.mean(axis=0)
        features = (np.asarray(features, "float64") - center) / self.spreads
        means = (self.means - center) / self.spreads
        squares = np.square(features).sum(axis=-1)[:, None] + np.square(means).sum(-1)
        squares -= 2 * features @ means.T
        return np.maximum(squares, 0.0) / means.shape[-1] * self.discounts


def appearance_of(features: Any, categories: Any) -> Appearance:
    """Returns how categories look by some of their images.

    Args:
        features: Array (images, C).
        categories: Object array (images,) of names, without None.
    """
    names = sorted(set(categories))
    features = np.asarray(features, "float64")
    groups = [features[categories == name] for name in names]
    means = np.stack([group.mean(axis=0) for group in groups])
    squares = sum(
        np.square(group - mean).sum(axis=0)
        for group, mean in zip(groups, means, strict=True)
    )
    variance = squares / max(len(features) - len(names), 1)
    spreads = np.sqrt(variance)
    # Most channels may be of no use, and always the same.
    floor = _LEAST_SPREAD * (np.median(spreads) or spreads.mean()) or 1e-6
    counts = np.array([len(group) for group in groups], "float64")
    varies = bool(spreads.max() > _ROUNDING * np.abs(means).max())
    spreads = np.maximum(spreads, floor)
    found = Appearance(tuple(names), means, spreads, counts, varies=varies)
    distances, is_new = distances_left_out(found, features, categories)
    right = distances.argmin(axis=1) == own_columns(found.names, categories)
    return replace(found, tested=int(is_new.sum()), right=int((right & is_new).sum()))


def known_appearance(statistics: CategoryStatistics, names: Any) -> Appearance:
    """Returns how categories look by what is known of them already.

    Args:
        statistics: What is known.
        names: The categories, some of those known.
    """
    kept = [i for i, name in enumerate(statistics.names) if name in names]
    discounts = np.asarray(statistics.discounts, "float64")[kept]
    counts = np.rint(discounts / np.maximum(1.0 - discounts, 1e-9))
    # That they can be told apart was found when they became known.
    tested = int(counts.sum())
    return Appearance(
        tuple(statistics.names[i] for i in kept),
        np.asarray(statistics.means, "float64")[kept],
        np.asarray(statistics.spreads, "float64"),
        counts,
        tested,
        tested,
        statistics.limit,
    )


def distances_left_out(
    appearance: Appearance, features: Any, categories: Any
) -> tuple[Any, Any]:
    """Distances of the very images that an `Appearance` was taken from.

    An image is compared with the mean of the others of its category.

    Args:
        appearance: Of these images.
        features: Array (images, C).
        categories: Object array (images,) of names.

    Returns:
        Array (images, categories), and a boolean array (images,): whether the category
        has other images, and the distance to it says something.
    """
    distances = appearance.distances(np.asarray(features, "float64"))
    own = own_columns(appearance.names, categories)
    counts = appearance.counts[own]
    has_others = counts > 1
    rows = np.flatnonzero(has_others)
    n = counts[rows]
    # The difference to the mean of all is (n - 1) / n of that to the others' mean,
    # which is of one image less.
    distances[rows, own[rows]] *= (n + 1) / (n - 1)
    return distances, has_others


def own_columns(names: Any, categories: Any) -> Any:
    """The position of each image's category among the names, int array (images,)."""
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[name] for name in categories])


def learn_categories(
    scores: Any,
    features: Any,
    categories: Any,
    false_positive_rate: float,
    appearance: Appearance | None = None,
) -> tuple[CategoryStatistics | None, dict[str, float]]:
    """Returns what normal images say of their categories, if it can be used.

    Args:
        scores: Array (images,), of normal images that were not trained on.
        features: Array (images, C), their image features.
        categories: List of names; images of None are left out.
        false_positive_rate: Share of new normal images called anomalous.
        appearance: How the categories look in training images, or by what is known.
            None, or where it lacks one of the categories, to take it from these images.

    Returns:
        The `CategoryStatistics`, or None, with a warning, where the categories can't be
        told apart by their images; and the threshold of each category, a score.
    """
    named = np.array([name is not None for name in categories], bool)
    if not named.any():
        return None, {}
    scores = np.asarray(scores, "float64")[named]
    features = np.asarray(features, "float64")[named]
    categories = np.array(categories, object)[named]
    from_training = appearance is not None and set(categories) <= set(appearance.names)
    if appearance is None or not from_training:
        appearance = appearance_of(features, categories)
        distances, is_new = distances_left_out(appearance, features, categories)
    else:
        distances = appearance.distances(features)
        is_new = np.ones(len(distances), bool)
    names, own = appearance.names, own_columns(appearance.names, categories)
    standardized = scores_left_out(scores, own, len(names))
    if not is_new.any() or np.isnan(standardized).all():
        _warn_of_too_few(len(names))
        return None, {}
    if not appearance.varies:
        _warn_of_no_spread()
        return None, {}
    nearest = distances.argmin(axis=1)
    wrong = np.flatnonzero((nearest != own) & is_new)
    tested, right = int(is_new.sum()), int(is_new.sum()) - len(wrong)
    if from_training:
        tested, right = tested + appearance.tested, right + appearance.right
    if right < LEAST_RECOGNIZED * tested:
        _warn_of_alike(names, own, nearest, wrong, tested, tested - right)
        return None, {}
    # So many right by guessing should be an accident of one in a thousand.
    if len(names) > 1 and right * math.log(len(names)) < math.log(1000):
        _warn_of_too_few(len(names))
        return None, {}
    means, spreads = score_moments(scores, own, len(names))
    # As a new image that is taken for another product would be scored.
    standardized[wrong] = (scores[wrong] - means[nearest[wrong]]) / spreads[
        nearest[wrong]
    ]
    least = distances.min(axis=1)
    nearly_largest = _nearly_largest(least[is_new], false_positive_rate)
    # A product of few images, or one that varies more than the others, is known too.
    usual = [_middle(least[is_new & (own == k)]) for k in set(own[is_new])]
    limit = max(UNKNOWN_FACTOR * max(nearly_largest, *usual), appearance.limit)
    largest = _nearly_largest(
        standardized[~np.isnan(standardized)], false_positive_rate
    )
    statistics = CategoryStatistics(
        names=names,
        means=appearance.means.astype("float32"),
        spreads=appearance.spreads.astype("float32"),
        discounts=appearance.discounts.astype("float32"),
        limit=float(limit),
        score_means=means.astype("float32"),
        score_spreads=spreads.astype("float32"),
    )
    thresholds = means + largest * spreads
    return statistics, dict(zip(names, thresholds.tolist(), strict=True))


def standardized_thresholds(
    scores: Any, categories: Any, false_positive_rate: float
) -> dict[str, float]:
    """The threshold of each category by the scores of all, each standardised.

    Args:
        scores: Array (images,), of normal images that were not trained on.
        categories: List of names; images of None are left out.
        false_positive_rate: Share of new normal images called anomalous.

    Returns:
        Dict of scores by category; empty where no category has two images.
    """
    named = np.array([name is not None for name in categories], bool)
    names = sorted({name for name in categories if name is not None})
    scores = np.asarray(scores, "float64")[named]
    own = own_columns(names, [name for name in categories if name is not None])
    standardized = scores_left_out(scores, own, len(names))
    standardized = standardized[~np.isnan(standardized)]
    if not len(standardized):
        return {}
    means, spreads = score_moments(scores, own, len(names))
    thresholds = means + _nearly_largest(standardized, false_positive_rate) * spreads
    return dict(zip(names, thresholds.tolist(), strict=True))


def _nearly_largest(values, rate):
    """The value that a share of new ones exceeds, or the largest of too few for it."""
    rank = rank_of_threshold(len(values), rate)
    return np.sort(values)[min(rank, len(values)) - 1]


def _middle(values):
    """The median, or the smaller of the two in the middle."""
    return np.sort(values)[(len(values) - 1) // 2]


def _warn_of_no_spread():
    warnings.warn(
        "The normal images of each category are all alike, to the last value that the "
        "model sees, so nothing says by how much others may differ: products are not "
        "told apart, and the threshold of all images holds where no category is given. "
        "Give images that differ as those to be decided do.",
        stacklevel=5,
    )


def _warn_of_too_few(count):
    warnings.warn(
        f"There are too few normal images of each of {count} categories to say how "
        "they look and how their scores vary: products are not told apart, and the "
        "threshold of all images holds where no category is given. Give two of a "
        "category at least, and some ten in all.",
        stacklevel=5,
    )


def _warn_of_alike(names, own, nearest, wrong, tested, not_right):
    pairs = {(names[own[i]], names[nearest[i]]) for i in wrong}
    shown = "; ".join(f"{name} for {other}" for name, other in sorted(pairs)[:3])
    shown = f" ({shown})" if shown else ""
    warnings.warn(
        f"{not_right} of {tested} normal images look more like another category "
        f"than their own{shown}, so products can't be told apart by their images: "
        "the threshold of all images holds where no category is given. Check the "
        "names of the categories, or give each image's category.",
        stacklevel=5,
    )
