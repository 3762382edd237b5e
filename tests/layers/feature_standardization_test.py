import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr.layers import FeatureStandardization
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.random_tokens import random_tokens

pytestmark = pytest.mark.optimized


def adapted(features, **arguments):
    layer = FeatureStandardization(**arguments)
    layer.build(features.shape)
    layer.set_moments(features.mean(axis=(0, 1, 2)), features.var(axis=(0, 1, 2)))
    return layer


def test_contract():
    features = 5.0 * random_tokens(2, 4, 5, 3) - 7.0
    layer = adapted(features)
    check_layer(layer, features, frozen_weights=3, compute_dtype="float32")


def test_the_tokens_of_the_moments_get_mean_0_and_variance_1():
    features = 5.0 * random_tokens(4, 6, 5, 3) + np.array([-11, 0, 3], "float32")
    output = ops.convert_to_numpy(adapted(features)(features))
    np.testing.assert_allclose(output.mean(axis=(0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(output.var(axis=(0, 1, 2)), 1.0, atol=1e-5)


def test_a_constant_channel_stays_finite():
    features = random_tokens(2, 4, 4, 2)
    features[..., 1] = 3.0
    output = ops.convert_to_numpy(adapted(features)(features))
    np.testing.assert_array_equal(output[..., 1], 0.0)


def test_is_the_identity_until_it_is_adapted():
    features = random_tokens(2, 4, 4, 2)
    layer = FeatureStandardization()
    assert_close(layer(features), features, tolerance=1e-6)
    assert not layer.is_adapted
    layer.set_moments([0.0, 0.0], [1.0, 1.0])
    assert layer.is_adapted


def test_being_adapted_is_saved(tmp_path):
    features = 5.0 * random_tokens(2, 4, 4, 2)
    image = keras.Input((4, 4, 2))
    layer = adapted(features)
    keras.Model(image, layer(image)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[-1]
    assert loaded.is_adapted
    assert_close(loaded(features), ops.convert_to_numpy(layer(features)), 1e-6)


def test_mean_squared_norm_is_that_of_the_tokens():
    features = 5.0 * random_tokens(4, 6, 5, 3) + 2.0
    layer = adapted(features)

    def mean_squared_norm(tokens):
        return np.square(tokens.astype("float64")).sum(axis=-1).mean()

    before = mean_squared_norm(features)
    after = mean_squared_norm(ops.convert_to_numpy(layer(features)))
    assert_close(layer.mean_squared_norm(standardized=False), before)
    assert_close(layer.mean_squared_norm(), after)
