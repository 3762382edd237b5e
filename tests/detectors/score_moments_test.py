"""Means and spreads of the scores of few images, against what they are estimates of."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from sklearn.metrics import roc_auc_score

from keras_rlr.detectors.score_moments import PRIOR_IMAGES, score_moments

pytestmark = pytest.mark.backend_independent


def in_common(rows):
    """As how many images what count, and the variance (Smyth, 2004, section 6.2)."""
    freedom = np.array([len(row) - 1 for row in rows])
    logarithms = np.log([row.var(ddof=1) for row in rows])
    logarithms = logarithms - digamma(freedom / 2) + np.log(freedom / 2)
    excess = np.var(logarithms, ddof=1) - np.mean(polygamma(1, freedom / 2))
    images = 1e9
    if excess > 0:
        images = 2 * brentq(lambda x: polygamma(1, x) - excess, 1e-6, 1e9)
    images = max(PRIOR_IMAGES, images)
    bias = digamma(images / 2) - np.log(images / 2)
    return images, np.exp(np.mean(logarithms) + bias)


def test_means_of_few_images_are_drawn_together_if_that_explains_them():
    numbers = [3, 4, 5, 30]
    draw = np.random.default_rng(5)
    for between in (0.0, 0.4, 50.0):
        own = draw.normal(7, between, len(numbers))
        rows = [draw.normal(m, 1, n) for m, n in zip(own, numbers, strict=True)]
        groups = np.repeat(range(len(numbers)), numbers)
        means, spreads = score_moments(np.concatenate(rows), groups, len(numbers))
        # Estimates of the same mean, each with its error, as a meta-analysis has them.
        prior, common = in_common(rows)
        variances = [
            (((row - row.mean()) ** 2).sum() + prior * common) / (len(row) - 1 + prior)
            for row in rows
        ]
        errors = [v / n for v, n in zip(variances, numbers, strict=True)]
        effects = [row.mean() for row in rows]
        fixed = np.average(effects, weights=1 / np.array(errors))
        cochran = sum(
            (m - fixed) ** 2 / e for m, e in zip(effects, errors, strict=True)
        )
        first, second = (sum(e**-power for e in errors) for power in (1, 2))
        tau = max(0, (cochran - len(numbers) + 1) / (first - second / first))
        center = np.average(effects, weights=[1 / (tau + e) for e in errors])
        for i, (effect, error) in enumerate(zip(effects, errors, strict=True)):
            share = tau / (tau + error)
            assert means[i] == pytest.approx(center + share * (effect - center))
            expected = variances[i] * (1 + share / numbers[i])
            assert spreads[i] ** 2 == pytest.approx(expected)
        # Products that differ much keep their own; those that don't have one.
        if not between:
            assert tau == 0 and np.ptp(means) < 1e-9
        if between == 50:
            np.testing.assert_allclose(means, effects, atol=0.01)
    # One product, and one that is not there.
    means, _ = score_moments(np.array([1.0, 3.0]), np.array([1, 1]), 3)
    np.testing.assert_allclose(means, 2)
    # Nothing is known of one that is not there: as of a single image, of all images.
    scores, groups = np.array([1.0, 3.0, 1.5, 2.5]), np.array([0, 0, 2, 2])
    _, spreads = score_moments(scores, groups, 3)
    assert spreads[1] == pytest.approx(np.sqrt(2 * scores.var()))


def spreads_found(own, count, seed):
    """What is found of products of these spreads, by so many images of each."""
    draw = np.random.default_rng(seed)
    groups = np.repeat(range(len(own)), count)
    scores = 5 + np.array(own)[groups] * draw.normal(size=len(groups))
    return score_moments(scores, groups, len(own))[1]


def test_spreads_of_few_images_are_one_if_that_explains_them():
    """Six products of six images differ by a fifth of what each alone would."""
    draws = [np.random.default_rng(seed).normal(size=(6, 6)) for seed in range(40)]
    alone = np.array([draw.std(axis=1, ddof=1) for draw in draws])
    found = np.array([spreads_found([1.0] * 6, 6, seed) for seed in range(40)])
    differences = [np.mean(each.std(1) / each.mean(1)) for each in (found, alone)]
    assert differences[0] < 0.2 * differences[1]


def test_the_largest_spread_is_not_that_of_all():
    own = [0.2, 1.0, 1.0, 5.0]
    found = np.array([spreads_found(own, 20, seed) for seed in range(40)])
    median = np.median(found, axis=0)
    np.testing.assert_allclose(median[1:], own[1:], rtol=0.25)
    # Four images count at least, of which their mean variance is 6.8.
    assert own[0] < median[0] < 0.5


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_unit_changes_nothing_but_itself(scale):
    draw = np.random.default_rng(3)
    groups = np.repeat(range(4), 5)
    scores = draw.gamma(6, size=20)
    expected = score_moments(scores, groups, 4)
    found = score_moments(scale * scores, groups, 4)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, scale * other, rtol=1e-6)


def lost_by_ranking_all(spread, standardized):
    """How far the AUROC of all is below the mean of the products' own, in points."""
    lost = []
    for seed in range(30):
        draw = np.random.default_rng(seed)
        own = np.exp(draw.normal(0, spread, 6))
        groups, tested = np.repeat(range(6), 6), np.repeat(range(6), 40)
        means, spreads = score_moments(own[groups] * draw.gamma(6, size=36), groups, 6)
        labels = np.tile([0, 1], 120)
        scores = own[tested] * (draw.gamma(6, size=240) + 7 * labels)
        within = [
            roc_auc_score(labels[tested == k], scores[tested == k]) for k in range(6)
        ]
        if standardized:
            scores = (scores - means[tested]) / spreads[tested]
        lost.append(np.mean(within) - roc_auc_score(labels, scores))
    return 100 * np.mean(lost)


def test_standardized_scores_rank_the_images_of_all_products():
    # Where raw scores mean the same, little is lost; where they don't, most is won.
    assert abs(lost_by_ranking_all(0.0, False)) < 0.1
    assert lost_by_ranking_all(0.0, True) < 0.5
    assert lost_by_ranking_all(1.0, True) < 0.4 * lost_by_ranking_all(1.0, False)


def test_scores_without_any_spread_are_no_error():
    groups = np.repeat(range(3), 4)
    for scores in (np.ones(12), np.repeat([1.0, 2.0, 3.0], 4), np.zeros(12)):
        means, spreads = score_moments(scores, groups, 3)
        np.testing.assert_allclose(means, scores[::4], atol=1e-5)
        assert (spreads > 0).all() and (spreads < 1e-4).all()


def test_scores_in_other_units_keep_their_own_spread():
    """Of one product in thousands, of the other in thousandths."""
    draw = np.random.default_rng(7)
    large, small = draw.normal(5000, 300, 12), draw.normal(0.005, 0.0003, 12)
    scores = np.concatenate([large, small])
    means, spreads = score_moments(scores, np.repeat([0, 1], 12), 2)
    for i, own in enumerate((large, small)):
        assert means[i] == pytest.approx(own.mean(), rel=1e-3)
        assert spreads[i] == pytest.approx(own.std(ddof=1) * (13 / 12) ** 0.5, rel=1e-3)


def test_equal_scores_have_a_spread_of_their_own_size():
    scores = np.concatenate([np.full(8, 1e6), np.full(8, 1e-3)])
    means, spreads = score_moments(scores, np.repeat([0, 1], 8), 2)
    np.testing.assert_allclose(spreads, [1.0, 1e-9])
    np.testing.assert_allclose(means, [1e6, 1e-3])
