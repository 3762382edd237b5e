"""Parity of the reconstructor with the authors' implementation, piece by piece."""

import keras
import numpy as np
import pytest
from keras import ops

from benchmarks.naive import naive
from keras_rlr import FeatureReconstructor, losses
from tests.golden_weights import assert_close, load_golden_weights

pytestmark = pytest.mark.optimized

GRIDS = {"reconstructor_16x16": (16, 64, 5), "reconstructor_32x32": (32, 32, 7)}


@pytest.fixture(params=GRIDS, scope="module")
def case(request, golden):
    """(golden arrays, features as a grid, reconstructor with the golden weights)."""
    side, hidden_dim, window = GRIDS[request.param]
    arrays = golden(request.param)
    features = arrays["input"].reshape(-1, side, side, arrays["input"].shape[-1])
    model = FeatureReconstructor(hidden_dim, window)
    model.build(features.shape)
    load_golden_weights(model, arrays)
    return arrays, features, model


def train(model, optimizer, features, steps):
    """Plain Adam steps through Keras' own trainer; returns the loss before each."""
    model.compile(optimizer=optimizer, loss=losses.ReconstructionLoss())
    # TensorFlow traces a step twice that makes variables.
    optimizer.build(model.trainable_variables)
    return [float(model.train_on_batch(features, features)) for _ in range(steps)]


def test_embeddings_and_position_code(case):
    arrays, features, model = case
    assert_close(model.embed_input(features), arrays["embedded_input"])
    assert_close(model.embed_reference(features), arrays["embedded_reference"])


def test_attentions_and_block(case):
    arrays, features, model = case
    tokens = model.embed_input(features)
    reference = model.embed_reference(features)
    block = model.blocks[0]
    assert_close(block.lca(tokens, reference), arrays["block_0_lca"])
    assert_close(block.mlka(tokens, reference), arrays["block_0_mlka"])
    assert_close(block(tokens, reference), arrays["block_0_output"])


def test_output_and_loss(case):
    arrays, features, model = case
    output = model(features)
    assert_close(output, arrays["output"])
    assert_close(losses.ReconstructionLoss()(features, output), arrays["loss"])


def test_reference_tokens_of_a_place_that_are_equal_count_as_one(case):
    arrays, features, model = case
    double = FeatureReconstructor(model.hidden_dim, model.window, reference_tokens=2)
    double.build(features.shape)
    reference = np.repeat(arrays["weights/reference"], 2, axis=0)
    load_golden_weights(double, {**arrays, "weights/reference": reference})
    assert_close(double(features), arrays["output"])


@pytest.mark.backend_independent
def test_what_benchmarks_compare_to_is_the_same_method(case):
    arrays, features, model = case
    with naive():
        assert_close(model(features), arrays["output"])
        # Of unknown size, as in a graph: keys of the reference are one for all images.
        batch = keras.Input(features.shape[1:])
        graph = keras.Model(batch, model(batch))
        assert_close(graph.predict(features, verbose=0), arrays["output"])


# Computes as the small one does, and takes JAX and TensorFlow three times as long.
SMALL_FIRST = pytest.mark.parametrize(
    "case",
    [
        "reconstructor_16x16",
        pytest.param("reconstructor_32x32", marks=pytest.mark.backend_independent),
    ],
    indirect=True,
)


@SMALL_FIRST
def test_gradients(case):
    """One SGD step at rate 1 moves every weight by its gradient."""
    arrays, features, model = case
    names = [key.removeprefix("grad") for key in arrays if key.startswith("grad/")]
    before = {v.path: ops.convert_to_numpy(v).copy() for v in model.weights}
    train(model, keras.optimizers.SGD(1.0), features, steps=1)
    after = {v.path: ops.convert_to_numpy(v).copy() for v in model.weights}
    load_golden_weights(model, arrays)
    assert names
    for name in names:
        (path,) = [path for path in before if path.endswith(name)]
        gradient = before[path] - after[path]
        # Subtracting float32 weights of size 1 loses what their rounding holds.
        rounding = 2**-23 * np.max(np.abs(before[path]))
        expected = arrays["grad" + name]
        difference = np.max(np.abs(gradient - expected))
        assert difference <= 2e-5 * np.max(np.abs(expected)) + rounding


@SMALL_FIRST
def test_five_adam_steps(case):
    arrays, features, model = case
    rates = train(model, keras.optimizers.Adam(1e-4, epsilon=1e-8), features, steps=5)
    output = ops.convert_to_numpy(model(features))
    load_golden_weights(model, arrays)
    assert_close(np.array(rates), arrays["adam_losses"], tolerance=2e-4)
    assert_close(output, arrays["output_after_adam"], tolerance=2e-4)
