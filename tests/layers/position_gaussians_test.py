import numpy as np
from scipy.spatial.distance import mahalanobis

from keras_rlr.layers import PositionGaussians
from tests.layer_test_case import check_layer, to_numpy
from tests.layers.random_tokens import random_tokens

TOKENS = random_tokens(3, 2, 4, 5)


def gaussians():
    generator = np.random.default_rng(0)
    samples = generator.normal(size=(8, 40, 5)) @ generator.normal(size=(8, 5, 5))
    mean = samples.mean(axis=1)
    inverses = np.stack([np.linalg.inv(np.cov(s, rowvar=False)) for s in samples])
    layer = PositionGaussians()
    layer.build(TOKENS.shape)
    layer.store(mean, np.linalg.cholesky(inverses))
    return layer, mean, inverses


def test_contract():
    layer, _, _ = gaussians()
    check_layer(layer, TOKENS, frozen_weights=2, compute_dtype="float32")


def test_is_scipys_mahalanobis_distance():
    layer, mean, inverses = gaussians()
    found = to_numpy(layer(TOKENS)).reshape(3, 8)
    for image, tokens in zip(found, TOKENS.reshape(3, 8, 5), strict=True):
        expected = [
            mahalanobis(*place) for place in zip(tokens, mean, inverses, strict=True)
        ]
        np.testing.assert_allclose(image, expected, rtol=1e-4)
