import numpy as np
import pytest
from keras import ops

from keras_rlr.layers import WeightedBatchNormalization
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.random_tokens import random_tokens

pytestmark = pytest.mark.optimized
TOKENS = random_tokens(4, 3, 5, 6) * 2 + 30


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def test_contract():
    layer = WeightedBatchNormalization()
    check_layer(layer, random_tokens(2, 3, 5, 6), weights=2, frozen_weights=2)


def twin(torch, layer):
    norm = torch.nn.BatchNorm1d(6, eps=layer.epsilon, momentum=1 - layer.momentum)
    for theirs, ours in ((norm.weight, layer.gamma), (norm.bias, layer.beta)):
        values = np.random.default_rng(3).normal(size=6).astype("float32")
        ours.assign(values)
        theirs.data = torch.from_numpy(values)
    return norm


def test_equals_pytorchs_batch_norm_in_training_and_after(torch):
    layer = WeightedBatchNormalization(momentum=0.8, epsilon=1e-3)
    layer.build(TOKENS.shape)
    norm = twin(torch, layer)
    flat = torch.from_numpy(TOKENS.reshape(-1, 6))
    for _ in range(2):
        expected = norm(flat).detach().numpy()
        assert_close(layer(TOKENS, training=True), expected.reshape(TOKENS.shape))
    assert_close(layer.moving_mean, norm.running_mean.numpy())
    # PyTorch averages the sample's variance: n / (n - 1) of the population's.
    sample = (norm.running_var.numpy() - 0.8**2) * (59 / 60) + 0.8**2
    assert_close(layer.moving_variance, sample)
    norm.eval()
    norm.running_var = torch.from_numpy(ops.convert_to_numpy(layer.moving_variance))
    expected = norm(flat).detach().numpy().reshape(TOKENS.shape)
    assert_close(layer(TOKENS), expected)


def test_images_of_weight_0_change_nothing():
    first, second = WeightedBatchNormalization(), WeightedBatchNormalization()
    expected = ops.convert_to_numpy(first(TOKENS[:3], training=True))
    weight = np.array([4 / 3, 4 / 3, 4 / 3, 0], "float32")
    tokens = np.concatenate([TOKENS[:3], 50 * TOKENS[3:]])
    filled = second(tokens, weight, training=True)
    assert_close(ops.convert_to_numpy(filled)[:3], expected, 1e-5)
    assert_close(second.moving_mean, ops.convert_to_numpy(first.moving_mean))
    assert_close(second.moving_variance, ops.convert_to_numpy(first.moving_variance))


def test_a_frozen_layer_keeps_its_averages_as_keras_own():
    layer = WeightedBatchNormalization()
    layer.build(TOKENS.shape)
    layer.trainable = False
    before = [np.array(weight) for weight in layer.get_weights()]
    found = layer(TOKENS, training=True)
    assert all(map(np.array_equal, before, layer.get_weights()))
    assert_close(found, ops.convert_to_numpy(layer(TOKENS, training=False)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_16_bits_are_averaged(dtype):
    layer = WeightedBatchNormalization(dtype=dtype, momentum=0.0)
    found = layer(TOKENS, training=True)
    assert found.dtype == layer(TOKENS).dtype
    mean = np.asarray(ops.cast(layer.moving_mean, "float32"))
    np.testing.assert_allclose(mean, TOKENS.mean(axis=(0, 1, 2)), rtol=1e-2)
