"""Whether scores or measures of images are of the distribution of calibration's.

Both samples are cut at one of the calibration's own values, so that true anomalies,
which lie beyond it, don't count as drift: scores at a high one, measures at a low one
too, because an anomaly may make an image darker or brighter. What is within is compared
by a two-sample test (of measures by two: a lamp that fades shifts all, which the sum of
ranks shows sooner); how many are beyond each cut, with as many as normal images and a
tolerated share of anomalies can be. Given the values it is cut at, those of calibration
within are an independent sample of the normal ones there, so the tests hold for few
images too.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rlr.detectors.score_thresholds import rank_of_threshold

# The share of calibration's values that are compared in full; of few, all but the
# outermost.
_WITHIN = 0.95
_BINS = 10
_GRID = 4000
# Fewer values of calibration can't be told from anything.
LEAST_CALIBRATION = 10


@dataclass(frozen=True)
class Comparison:
    """How values differ from those of calibration.

    Args:
        p_value: Probability that unchanged values differ so much, at most.
        test_p_value: That of the Kolmogorov-Smirnov test within the cuts, or of the
            Mann-Whitney test if that is smaller.
        beyond_p_value: That of so many values beyond a cut, of the less likely side.
        beyond: Number of values beyond the cuts.
        psi: Population stability index over the deciles of calibration.
        psi_by_chance: What it is on average for unchanged values.
    """

    p_value: float
    test_p_value: float
    beyond_p_value: float
    beyond: int
    psi: float
    psi_by_chance: float


def compare_values(
    calibration: Any, values: Any, anomalous_share: float, two_sided: bool = False
) -> Comparison:
    """Compares values with those of calibration.

    Args:
        calibration: Array (m,), ascending: values of normal images, 10 or more.
        values: Array (n,), finite.
        anomalous_share: Share of images that may be true anomalies without the values
            of the others having changed.
        two_sided: Whether anomalies may have low values as well as high ones.

    Returns:
        A `Comparison`.
    """
    from scipy.stats import ks_2samp, mannwhitneyu

    # Both as models give them: a table's text may have more digits.
    calibration = np.asarray(calibration, "float32").astype("float64")
    values = np.asarray(values, "float32").astype("float64")
    low, high = cuts(calibration, two_sided)
    within = values[(values > low) & (values < high)]
    usual = calibration[(calibration > low) & (calibration < high)]
    tests = [1.0]
    if len(within) and len(usual):
        tests.append(ks_2samp(usual, within, method=_method(usual, within)).pvalue)
        if two_sided and max(usual[-1], within.max()) > min(usual[0], within.min()):
            # By the normal distribution, which errs to the safe side here.
            tests.append(mannwhitneyu(usual, within, method="asymptotic").pvalue)
    test = float(min(tests))
    counts = [int((values > high).sum())]
    if two_sided:
        counts.append(int((values < low).sum()))
    rank = cut_rank(len(calibration), two_sided)
    of_beyond = min(
        _beyond_p_value(count, len(values), rank, len(calibration), anomalous_share)
        for count in counts
    )
    psi, by_chance = stability_index(calibration, values)
    return Comparison(
        # Of one test and one side, or of two and two.
        p_value=min(1.0, 2 * len(counts) * min(test, of_beyond)),
        test_p_value=test,
        beyond_p_value=of_beyond,
        beyond=sum(counts),
        psi=psi,
        psi_by_chance=by_chance,
    )


def cuts(calibration: Any, two_sided: bool = False) -> tuple[float, float]:
    """The values between which samples are compared in full.

    Args:
        calibration: Array (m,), ascending.
        two_sided: Whether there is a lower cut; it is minus infinity if not.
    """
    rank = cut_rank(len(calibration), two_sided)
    low = calibration[len(calibration) - rank] if two_sided else -math.inf
    return float(low), float(calibration[rank - 1])


def cut_rank(count: int, two_sided: bool = False) -> int:
    """The rank of the value of calibration that is cut at, from 1.

    Args:
        count: Number of values of calibration.
        two_sided: Whether there is another cut, of the same rank from above.
    """
    beyond = (1 - _WITHIN) / (2 if two_sided else 1)
    return min(count, rank_of_threshold(count, beyond))


def _method(one, other):
    # The exact distribution takes time and memory by the product of the counts.
    return "exact" if len(one) * len(other) <= 10**6 else "asymp"


def _beyond_p_value(beyond, count, rank, calibration_count, anomalous_share):
    """Probability of `beyond` or more unchanged values beyond a cut.

    The share of normal images beyond it is of a beta distribution, because it is one of
    calibration's own values. The upper ends of a fine grid bound it from above.
    """
    from scipy.stats import beta, binom

    if beyond == 0:
        return 1.0
    edges = np.linspace(0.0, 1.0, _GRID + 1)
    masses = np.diff(beta.cdf(edges, calibration_count - rank + 1, rank))
    shares = anomalous_share + (1.0 - anomalous_share) * edges[1:]
    return float(min(1.0, (masses * binom.sf(beyond - 1, count, shares)).sum()))


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


def stability_index(calibration: Any, values: Any) -> tuple[float, float]:
    """The population stability index, and what it is for unchanged values on average.

    Args:
        calibration: Array (m,), ascending.
        values: Array (n,).

    Returns:
        Sum over the intervals between deciles of calibration of the difference of
        shares times that of their logarithms; and (intervals - 1) (1 / m + 1 / n).
    """
    deciles = np.arange(1, _BINS) / _BINS
    edges = np.unique(np.quantile(calibration, deciles))
    bins = len(edges) + 1

    def shares(sample):
        counts = np.bincount(np.searchsorted(edges, sample, "right"), minlength=bins)
        # Half an image more in each, so that an empty one has a logarithm.
        return (counts + 0.5) / (len(sample) + 0.5 * bins)

    usual, now = shares(calibration), shares(values)
    index = float(((now - usual) * np.log(now / usual)).sum())
    return index, (bins - 1) * (1 / len(calibration) + 1 / len(values))
