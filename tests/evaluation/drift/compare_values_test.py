"""The tests of a window, by simulation: false alarms at most as often as stated."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, binom

from keras_rlr.evaluation.drift.compare_values import (
    compare_values,
    cut_rank,
    stability_index,
)

pytestmark = pytest.mark.backend_independent

LEVEL, TRIALS = 0.01, 800
# More false alarms than this of 800 at a rate of 1 in 100: 1 in 1000 simulations.
MOST = int(binom.ppf(0.999, TRIALS, LEVEL))


def alarms(
    calibrated, images, trials=TRIALS, anomalous=0.0, change=lambda x: x, **options
):
    """Number of trials in which a window of gamma-distributed scores is drift."""
    random = np.random.default_rng(0)
    found = 0
    for _ in range(trials):
        usual = np.sort(random.gamma(4.0, size=calibrated))
        scores = change(random.gamma(4.0, size=images))
        scores[random.random(images) < anomalous] += 20
        if options:  # Anomalies of low values too.
            scores[random.random(images) < anomalous / 2] = 0
        found += compare_values(usual, scores, 0.05, **options).p_value < LEVEL
    return found


@pytest.mark.parametrize(
    ("calibrated", "images", "anomalous"),
    [(10, 100, 0.0), (20, 100, 0.05), (20, 20, 0.0), (99, 100, 0.05), (400, 100, 0.0)],
)
def test_unchanged_scores_are_no_drift(calibrated, images, anomalous):
    assert alarms(calibrated, images, anomalous=anomalous) <= MOST


@pytest.mark.parametrize(
    ("calibrated", "images", "anomalous"),
    [(10, 100, 0.0), (20, 20, 0.0), (80, 100, 0.03), (400, 100, 0.0)],
)
def test_unchanged_measures_are_no_drift(calibrated, images, anomalous):
    found = alarms(calibrated, images, 400, anomalous=anomalous, two_sided=True)
    assert found <= binom.ppf(0.999, 400, LEVEL)


@pytest.mark.parametrize("factor", [0.5, 1.6])
def test_measures_that_rise_or_fall_are(factor):
    options = {"change": lambda x: factor * x, "two_sided": True}
    assert alarms(100, 100, trials=40, **options) >= 36


@pytest.mark.parametrize(
    ("calibrated", "change"),
    [
        (20, lambda x: 2 * x),
        (20, lambda x: x / 2),
        (100, lambda x: 1.6 * x),
        (100, lambda x: x + 50),
        (100, lambda x: 4 + (x - 4) / 3),
    ],
)
def test_changed_scores_are(calibrated, change):
    assert alarms(calibrated, 100, trials=40, change=change) >= 36


def test_more_anomalies_than_are_tolerated_are_drift():
    assert alarms(200, 100, trials=40, anomalous=0.05) <= 3
    assert alarms(200, 100, trials=40, anomalous=0.3) >= 36


def test_the_number_above_is_of_a_mixture_of_binomials():
    usual, scores = np.arange(1.0, 41.0), np.r_[np.zeros(45), np.full(5, 99.0)]
    found = compare_values(usual, scores, 0.02)
    rank = cut_rank(40)
    assert (rank, found.beyond) == (39, 5)

    def value(share):
        mixed = 0.02 + 0.98 * share
        return beta.pdf(share, 40 - rank + 1, rank) * binom.sf(4, 50, mixed)

    exact = quad(value, 0, 1)[0]
    assert exact <= found.beyond_p_value <= 1.02 * exact


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_equal_scores_everywhere_are_no_drift(value):
    usual, scores = np.full(30, value), np.full(100, value)
    assert compare_values(usual, scores, 0.0).p_value == 1.0
    assert compare_values(usual, scores, 0.0, two_sided=True).p_value == 1.0


def test_a_table_has_more_digits_than_the_model():
    usual = np.sort(np.random.default_rng(0).gamma(4.0, size=50)).astype("float32")
    printed = np.array([float(f"{value:.12g}") for value in usual])
    found = compare_values(usual, printed, 0.0)
    assert (found.beyond, found.test_p_value) == (50 - cut_rank(50), 1.0)


def test_the_stability_index_by_hand_and_by_chance():
    usual = np.arange(100.0)
    assert stability_index(usual, usual)[0] == pytest.approx(0.0, abs=1e-12)
    now = np.r_[np.arange(50.0), np.arange(50.0)]
    shares = np.r_[np.full(5, 20.5), np.full(5, 0.5)] / 105
    expected = ((shares - 0.1) * np.log(shares / 0.1)).sum()
    assert stability_index(usual, now)[0] == pytest.approx(expected)
    random = np.random.default_rng(1)
    pairs = [random.gamma(4.0, size=(2, 200)) for _ in range(200)]
    indices = [stability_index(np.sort(a), b) for a, b in pairs]
    found, chance = np.mean(indices, axis=0)
    assert found == pytest.approx(chance, rel=0.15)
