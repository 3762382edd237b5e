import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from keras_rlr.layers import AnomalyMap
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.random_tokens import random_tokens

pytestmark = pytest.mark.optimized

SIDES = (64, 32, 16)


def naive_error(features, reconstruction, damping=0.0):
    """Mean square plus 1 minus the damped cosine, in float64."""
    features, reconstruction = (
        array.astype("float64") for array in (features, reconstruction)
    )
    square = np.mean((features - reconstruction) ** 2, axis=-1)
    norms = np.linalg.norm(features, axis=-1) * np.linalg.norm(reconstruction, axis=-1)
    product = np.sum(features * reconstruction, axis=-1)
    return square + 1 - (product + damping) / (norms + damping)


def upsample(error, size):
    """Bilinear, aligned corners, by scipy; `error` is (height, width)."""
    axes = [np.linspace(0, 1, side) for side in error.shape]
    targets = np.meshgrid(*(np.linspace(0, 1, side) for side in size), indexing="ij")
    return RegularGridInterpolator(axes, error)(tuple(targets))


def test_contract():
    features = [random_tokens(2, 4, 6, 8), random_tokens(2, 2, 3, 5)]
    rebuilt = [random_tokens(2, 4, 6, 8, seed=1), random_tokens(2, 2, 3, 5, seed=1)]
    layer = AnomalyMap(size=(8, 9))
    check_layer(layer, features, rebuilt, compute_dtype="float32")


def test_equals_the_authors(golden):
    arrays = golden("scoring")

    def grids(kind):
        tokens = {side: arrays[f"{kind}_{side}"] for side in SIDES}
        return [
            array.reshape(len(array), side, side, array.shape[-1])
            for side, array in tokens.items()
        ]

    features, rebuilt = grids("features"), grids("reconstruction")
    assert_close(AnomalyMap(size=(256, 256))(features, rebuilt), arrays["anomaly_map"])


def test_equals_scipy_on_grids_of_any_shape():
    shapes = [(4, 7, 8), (3, 2, 5)]
    features = [random_tokens(2, *shape) for shape in shapes]
    rebuilt = [random_tokens(2, *shape, seed=1) for shape in shapes]
    errors = map(naive_error, features, rebuilt)
    expected = np.mean(
        [[upsample(error, (11, 20)) for error in level] for level in errors], axis=0
    )
    assert_close(AnomalyMap(size=(11, 20))(features, rebuilt), expected)


def test_a_damped_cosine_for_each_level():
    features = [random_tokens(2, 4, 4, 8), random_tokens(2, 4, 4, 6)]
    rebuilt = [random_tokens(2, 4, 4, 8, seed=1), random_tokens(2, 4, 4, 6, seed=1)]
    output = AnomalyMap(size=(4, 4))(features, rebuilt, damping=[3.0, 0.5])
    expected = [
        naive_error(features[0], rebuilt[0], 3.0),
        naive_error(features[1], rebuilt[1], 0.5),
    ]
    assert_close(output, np.mean(expected, axis=0))


def test_a_grid_of_one_token_fills_the_map():
    features, rebuilt = random_tokens(2, 1, 1, 8), random_tokens(2, 1, 1, 8, seed=1)
    expected = np.broadcast_to(naive_error(features, rebuilt), (2, 5, 6))
    assert_close(AnomalyMap(size=(5, 6))([features], [rebuilt]), expected)


def test_a_perfect_reconstruction_gives_zero_and_zero_features_stay_finite():
    features = random_tokens(1, 4, 4, 8)
    layer = AnomalyMap(size=(8, 8))
    np.testing.assert_allclose(layer([features], [features]), 0.0, atol=1e-6)
    zeros = np.zeros_like(features)
    np.testing.assert_allclose(layer([zeros], [zeros]), 1.0, atol=1e-6)


def test_lists_that_do_not_match_are_refused():
    first, second = random_tokens(1, 4, 4, 8), random_tokens(1, 2, 2, 8)
    for rebuilt in ([first], [second, first], [first, random_tokens(1, 2, 2, 7)]):
        with pytest.raises(ValueError, match="same shapes"):
            AnomalyMap()([first, second], rebuilt)
