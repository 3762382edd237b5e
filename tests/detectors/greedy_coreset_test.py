import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from keras_rlr.detectors.greedy_coreset import greedy_coreset, project

pytestmark = pytest.mark.backend_independent


def naive(rows, count, seed):
    """Greedy k-centre selection, by a matrix of all distances."""
    generator = np.random.Generator(np.random.Philox(seed))
    rows = project(rows, generator)
    drawn = generator.choice(len(rows), min(10, len(rows)), replace=False)
    chosen = [int(np.argmax(cdist(rows, rows[drawn]).mean(axis=1)))]
    while True:
        nearest = cdist(rows, rows[chosen]).min(axis=1)
        if len(chosen) == count:
            break
        chosen.append(int(np.argmax(nearest)))
    return chosen, nearest


@pytest.mark.parametrize("channels", [2, 40, 300])
def test_chooses_as_a_matrix_of_all_distances_does(channels):
    rows = np.random.default_rng(0).normal(size=(900, channels)).astype("float32")
    chosen, distances = greedy_coreset(rows, 60, seed=3)
    expected, expected_distances = naive(rows, 60, seed=3)
    assert chosen.tolist() == expected
    np.testing.assert_allclose(distances, expected_distances, atol=2e-3)


@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**20))
def test_spreads_as_widely_as_greedy_can(rows, channels, seed):
    """No two chosen are nearer than any row is to them, which is Gonzalez' bound."""
    generator = np.random.default_rng(seed)
    # Whole numbers, so that there are equal rows.
    points = generator.integers(0, 4, (rows, channels)).astype("float32")
    count = int(generator.integers(1, rows + 1))
    chosen, distances = greedy_coreset(points, count, seed)
    assert len(set(chosen.tolist())) == count
    exact = cdist(points, points[chosen]).min(axis=1)
    np.testing.assert_allclose(distances, exact, atol=1e-2)
    if count > 1:
        apart = cdist(points[chosen], points[chosen]) + 9.0 * np.eye(count)
        assert apart.min() >= exact.max() - 1e-2


def test_a_projection_keeps_distances_about():
    rows = np.random.default_rng(0).normal(size=(200, 500)).astype("float32")
    projected = project(rows, np.random.default_rng(1))
    assert projected.shape == (200, 128)
    ratio = cdist(projected, projected)[0, 1:] / cdist(rows, rows)[0, 1:]
    assert 0.97 < ratio.mean() < 1.03


def test_one_seed_gives_one_choice():
    rows = np.random.default_rng(0).normal(size=(300, 8)).astype("float32")
    first, second, other = (greedy_coreset(rows, 5, seed)[0] for seed in (1, 1, 2))
    assert first.tolist() == second.tolist() != other.tolist()
