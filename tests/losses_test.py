import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr.losses import ReconstructionLoss, cosine_similarity, token_error
from tests.golden_weights import assert_close
from tests.layers.anomaly_map_test import naive_error
from tests.layers.random_tokens import random_tokens

pytestmark = pytest.mark.optimized


@pytest.fixture
def maps():
    """Features and reconstructions, (3, 4, 5, 8)."""
    return random_tokens(3, 4, 5, 8), random_tokens(3, 4, 5, 8, seed=1)


def test_loss_is_the_mean_token_error_of_each_sample(maps):
    expected = naive_error(*maps).mean(axis=(1, 2))
    assert_close(ReconstructionLoss(reduction=None)(*maps), expected)
    assert_close(ReconstructionLoss()(*maps), expected.mean())


def test_sample_weights_count(maps):
    expected = naive_error(*maps).mean(axis=(1, 2))
    weights = np.array([1.0, 0.0, 2.0], "float32")
    weighted = ReconstructionLoss()(*maps, sample_weight=weights)
    assert_close(weighted, np.mean(weights * expected))


@pytest.mark.parametrize("damping", [0.0, 0.3, 10.0])
def test_token_error_with_damping(maps, damping):
    assert_close(token_error(*maps, damping), naive_error(*maps, damping))


def test_damping_draws_the_cosine_of_small_tokens_to_1():
    tiny = 1e-4 * random_tokens(50, 8)
    other = 1e-4 * random_tokens(50, 8, seed=1)
    assert np.all(ops.convert_to_numpy(cosine_similarity(tiny, other, 1.0)) > 0.999)
    plain = ops.convert_to_numpy(cosine_similarity(tiny, other))
    assert plain.min() < -0.5


def test_norms_are_kept_above_the_authors_epsilon():
    zeros, tokens = np.zeros((1, 8), "float32"), random_tokens(1, 8)
    assert float(cosine_similarity(zeros, tokens)[0]) == 0.0
    tiny = np.full((1, 4), 1e-9, "float32")
    # Below it the norm counts as 1e-8: 4e-18 / 1e-16.
    assert_close(cosine_similarity(tiny, tiny), np.array([0.04]))


def test_loss_is_float32_under_mixed_precision(maps):
    half = [ops.cast(array, "bfloat16") for array in maps]
    loss = ReconstructionLoss()(*half)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    rounded = [ops.convert_to_numpy(ops.cast(array, "float32")) for array in half]
    assert_close(loss, naive_error(*rounded).mean())


def test_gradient_at_a_zero_token_is_finite():
    """A reconstruction of exactly zero, as of a dense layer of zeros."""
    features = random_tokens(2, 4, 4, 8)
    model = keras.Sequential([keras.layers.Dense(8, kernel_initializer="zeros")])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=ReconstructionLoss())
    model.train_on_batch(features, features)
    kernel = ops.convert_to_numpy(model.layers[0].kernel)
    assert np.all(np.isfinite(kernel))
    assert np.abs(kernel).max() > 0


def test_configuration_round_trip():
    loss = ReconstructionLoss(reduction="sum", name="mine")
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(loss)
    )
    assert copy.get_config() == loss.get_config()


def test_without_squares_it_is_the_cosine_alone(maps):
    cosine = 1.0 - ops.convert_to_numpy(cosine_similarity(*maps))
    loss = ReconstructionLoss(with_square=False, reduction=None)
    assert_close(loss(*maps), cosine.mean(axis=(1, 2)))


def test_the_gradient_of_easy_tokens_is_a_tenth():
    target, rebuilt = random_tokens(2, 4, 5, 8), random_tokens(2, 4, 5, 8, seed=1)
    errors = naive_error(target, rebuilt)
    assert_close(ReconstructionLoss(hard_mining=0.75)(target, rebuilt), errors.mean())

    def gradients(hard_mining):
        loss = ReconstructionLoss(hard_mining=hard_mining)
        if keras.backend.backend() == "torch":
            import torch

            variable = torch.tensor(rebuilt, requires_grad=True)
            loss(torch.tensor(target), variable).backward()
            return variable.grad.numpy()
        if keras.backend.backend() == "jax":
            import jax

            return np.asarray(jax.grad(lambda y: loss(target, y))(rebuilt))
        import tensorflow as tf

        variable = tf.Variable(rebuilt)
        with tf.GradientTape() as tape:
            value = loss(target, variable)
        return tape.gradient(value, variable).numpy()

    ratio = gradients(0.75) / gradients(0.0)
    # The 5 hardest of the 20 tokens of each image keep theirs.
    order = np.argsort(np.argsort(errors.reshape(2, 20)))
    expected = np.where(order >= 15, 1.0, 0.1).reshape(2, 4, 5, 1)
    np.testing.assert_allclose(ratio, np.broadcast_to(expected, ratio.shape), rtol=1e-3)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_hard_mining_is_a_share(share):
    with pytest.raises(ValueError, match="`hard_mining` is a share"):
        ReconstructionLoss(hard_mining=share)
