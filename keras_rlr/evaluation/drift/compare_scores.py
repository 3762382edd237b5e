"""Whether the scores of some images are of the distribution of calibration's.

Both samples are cut at one of the calibration's own scores, so that true anomalies,
which lie above it, don't count as drift. What is below is compared by a two-sample
test; how many are above, with as many as normal images and a tolerated share of
anomalies can be. Given the score it is cut at, the scores of calibration below it are
an independent sample of the normal ones there, so both tests are exact.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

# The share of calibration's scores that are compared in full; of few, all but one.
_BELOW = 0.95
_BINS = 10
_GRID = 4000
# Fewer scores of calibration can't be told from anything.
LEAST_CALIBRATION = 10


@dataclass(frozen=True)
class Comparison:
    """How scores differ from those of calibration.

    Args:
        p_value: Probability that unchanged scores differ so much, at most.
        test_p_value: That of the Kolmogorov-Smirnov test below the cut.
        above_p_value: That of so many scores above the cut.
        above: Number of scores above the cut.
        psi: Population stability index over the deciles of calibration.
        psi_by_chance: What it is on average for unchanged scores.
    """

    p_value: float
    test_p_value: float
    above_p_value: float
    above: int
    psi: float
    psi_by_chance: float


def compare_scores(calibration: Any, scores: Any, anomalous_share: float) -> Comparison:
    """Compares scores with those of calibration.

    Args:
        calibration: Array (m,), ascending: scores of normal images, 10 or more.
        scores: Array (n,), finite.
        anomalous_share: Share of images that may be true anomalies without the scores
            of the others having changed.

    Returns:
        A `Comparison`.
    """
    from scipy.stats import ks_2samp

    # Both as models give them: a table's text may have more digits.
    calibration = np.asarray(calibration, "float32").astype("float64")
    scores = np.asarray(scores, "float32").astype("float64")
    rank = cut_rank(len(calibration))
    cut = calibration[rank - 1]
    below, usual = scores[scores < cut], calibration[calibration < cut]
    test = 1.0
    if len(below) and len(usual):
        test = float(ks_2samp(usual, below, method=_method(usual, below)).pvalue)
    above = int((scores > cut).sum())
    of_above = _above_p_value(
        above, len(scores), rank, len(calibration), anomalous_share
    )
    psi, by_chance = stability_index(calibration, scores)
    return Comparison(
        p_value=min(1.0, 2 * min(test, of_above)),
        test_p_value=test,
        above_p_value=of_above,
        above=above,
        psi=psi,
        psi_by_chance=by_chance,
    )


def cut_rank(count: int) -> int:
    """The rank of the score of calibration that is cut at, from 1.

    Args:
        count: Number of scores of calibration.
    """
    return min(count, math.ceil(_BELOW * (count + 1)))


def _method(one, other):
    # The exact distribution takes time and memory by the product of the counts.
    return "exact" if len(one) * len(other) <= 10**6 else "asymp"


def _above_p_value(above, count, rank, calibration_count, anomalous_share):
    """Probability of `above` or more scores above the cut of unchanged ones.

    The share of normal images above it is of a beta distribution, because it is one of
    calibration's own scores. The upper ends of a fine grid bound it from above.
    """
    from scipy.stats import beta, binom

    if above == 0:
        return 1.0
    edges = np.linspace(0.0, 1.0, _GRID + 1)
    masses = np.diff(beta.cdf(edges, calibration_count - rank + 1, rank))
    shares = anomalous_share + (1.0 - anomalous_share) * edges[1:]
    return float(min(1.0, (masses * binom.sf(above - 1, count, shares)).sum()))


def unknown_p_value(unknown: int, count: int, anomalous_share: float) -> float:
    """Probability that so many of unchanged images show no known product, at most.

    Args:
        unknown: Number of images that show none.
        count: Number of images.
        anomalous_share: Share of images that may.
    """
    from scipy.stats import binom

    if unknown == 0:
        return 1.0
    return float(binom.sf(unknown - 1, count, anomalous_share))


def stability_index(calibration: Any, scores: Any) -> tuple[float, float]:
    """The population stability index, and what it is for unchanged scores on average.

    Args:
        calibration: Array (m,), ascending.
        scores: Array (n,).

    Returns:
        Sum over the intervals between deciles of calibration of the difference of
        shares times that of their logarithms; and (intervals - 1) (1 / m + 1 / n).
    """
    deciles = np.arange(1, _BINS) / _BINS
    edges = np.unique(np.quantile(calibration, deciles))
    bins = len(edges) + 1

    def shares(values):
        counts = np.bincount(np.searchsorted(edges, values, "right"), minlength=bins)
        # Half an image more in each, so that an empty one has a logarithm.
        return (counts + 0.5) / (len(values) + 0.5 * bins)

    usual, now = shares(calibration), shares(scores)
    index = float(((now - usual) * np.log(now / usual)).sum())
    return index, (bins - 1) * (1 / len(calibration) + 1 / len(scores))
