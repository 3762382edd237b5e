import numpy as np
import pytest
from keras import ops
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from keras_rlr.layers import MemoryBank, memory_bank
from tests.layer_test_case import check_layer, to_numpy
from tests.layers.random_tokens import random_tokens

TOKENS = random_tokens(3, 4, 5, 6)
STORED = random_tokens(1, 10, 7, 6, seed=1).reshape(70, 6)


def bank(stored=STORED, **options):
    layer = MemoryBank(len(stored), **options)
    layer.build(TOKENS.shape)
    layer.store(to_numpy(layer.normalized(ops.convert_to_tensor(stored))))
    return layer


def test_contract():
    check_layer(bank(), TOKENS, frozen_weights=1, compute_dtype="float32")


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("most", [2**22, 2 * 256 * 20])
def test_finds_what_scikit_learn_finds(distance, most, monkeypatch):
    monkeypatch.setattr(memory_bank, "_MOST_DISTANCES", most)
    stored = np.concatenate([STORED + i for i in range(10)])  # Of several parts.
    distances = to_numpy(bank(stored, distance=distance)(TOKENS))
    search = NearestNeighbors(n_neighbors=1, metric=distance).fit(stored)
    expected, _ = search.kneighbors(TOKENS.reshape(-1, 6))
    np.testing.assert_allclose(distances.reshape(-1), expected[:, 0], atol=1e-5)


def test_what_is_stored_has_no_distance():
    far = 1000.0 + TOKENS  # |x|² of such rounds by more than the distances are.
    layer = bank(far.reshape(-1, 6))
    np.testing.assert_array_equal(to_numpy(layer(far)), 0.0)


def test_a_token_that_is_not_finite_has_no_finite_distance():
    broken = TOKENS.copy()
    broken[1, 2, 3, 4] = np.nan
    distances, scores = to_numpy(bank()(broken, with_score=True))
    assert np.argwhere(np.isnan(distances)).tolist() == [[1, 2, 3]]
    assert np.isnan(scores).tolist() == [False, True, False]


def test_the_score_is_the_largest_distance():
    distances, score = to_numpy(bank()(TOKENS, with_score=True))
    np.testing.assert_array_equal(score, distances.max(axis=(1, 2)))


@pytest.mark.parametrize("neighbors", [3, 500])
def test_the_weighed_score_is_equation_7(neighbors):
    _, score = to_numpy(bank(reweighted_neighbors=neighbors)(TOKENS, with_score=True))
    apart = cdist(STORED, STORED)
    for found, image in zip(score, TOKENS.reshape(3, -1, 6), strict=True):
        distances = cdist(image, STORED)
        worst = distances.min(axis=1).argmax()
        nearest = distances[worst].argmin()
        around = np.argsort(apart[nearest])[:neighbors]
        exponentials = np.exp(distances[worst])
        weight = 1 - exponentials[nearest] / exponentials[around].sum()
        np.testing.assert_allclose(found, weight * distances[worst].min(), rtol=1e-4)


def test_a_bank_of_another_size_takes_the_place():
    layer = bank()
    layer(TOKENS)
    layer.store(STORED[:5])
    assert [tuple(w.shape) for w in layer.weights] == [(5, 6)]
    assert layer.get_config()["size"] == 5
    expected = cdist(TOKENS.reshape(-1, 6), STORED[:5]).min(axis=1)
    np.testing.assert_allclose(to_numpy(layer(TOKENS)).reshape(-1), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{"distance": "manhattan"}, {"size": 0}, {"reweighted_neighbors": -1}]
)
def test_refuses(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MemoryBank(**options)
