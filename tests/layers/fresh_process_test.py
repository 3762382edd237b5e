"""Every public layer loads where nothing but `import keras, keras_rlr` was said."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr import layers
from tests import one_program
from tests.fresh_process import imported_with_the_package, run_fresh
from tests.layers.random_tokens import random_tokens

pytestmark = pytest.mark.optimized

LOADING = """
import sys
import keras, keras_rlr
import numpy as np

folder = sys.argv[1]
model = keras.saving.load_model(folder + "/model.keras")
from tests import one_program

with np.load(folder + "/arrays.npz") as arrays:
    maps, scores = one_program.call(model, arrays["features"])
    convert = keras.ops.convert_to_numpy
    np.testing.assert_array_equal(convert(maps), arrays["maps"])
    np.testing.assert_array_equal(convert(scores), arrays["scores"])
print("loaded")
"""


def model_of_all_layers(shape):
    """A functional model with every public layer in it."""
    inputs = keras.Input(shape)
    coarse = keras.layers.AveragePooling2D(2)(inputs)
    features = layers.FusedLevels()([inputs, coarse])
    features = layers.FeatureAggregation()(features)
    features = layers.FeatureStandardization()(features)
    features = layers.FusedLevels()([features])
    x = layers.FeaturePerturbation(seed=1)(features)
    reference = layers.ReferenceWeights(seed=2)(x)
    x = x + layers.SinePositionEncoding2D()(x)
    x = x + layers.LearnedPositionEncoding2D(seed=8)(x)
    x = layers.ReconstructionBlock(3, num_heads=2, seed=3)(x, reference)
    x = layers.MaskedLearnableKeyAttention(3, num_heads=2, seed=4)(x, reference)
    x = layers.LocalCrossAttention(3, num_heads=2, seed=5)(x, reference)
    x = layers.GridAttention(num_heads=2, seed=6)(x, x, x)
    x = layers.FeedForward(seed=7)(x)
    x = layers.WeightedBatchNormalization()(x)
    distances = layers.MemoryBank()(features) + layers.PositionGaussians()(features)
    x = x + ops.expand_dims(distances, -1)
    maps = layers.AnomalyMap(size=(16, 16))([features], [x])
    maps = layers.UsualMap(neighbors=1)(maps, ops.mean(features, axis=(1, 2)))
    return keras.Model(inputs, [maps, layers.AnomalyScore()(maps)])


def test_every_layer_loads_in_a_fresh_process_to_the_last_bit(tmp_path):
    features = random_tokens(2, 6, 5, 8)
    model = model_of_all_layers(features.shape[1:])
    used = {type(layer).__name__ for layer in model.layers}
    public = {
        name
        for name in layers.__all__
        if issubclass(getattr(layers, name), keras.layers.Layer)
    }
    assert public <= used
    maps, scores = map(ops.convert_to_numpy, one_program.call(model, features))
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "arrays.npz", features=features, maps=maps, scores=scores)
    done = run_fresh(LOADING, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("loaded")


def test_the_import_does_not_bring_tensorflow():
    if keras.backend.backend() != "tensorflow":
        assert "tensorflow" not in imported_with_the_package()


def test_a_model_of_all_layers_trains():
    features = random_tokens(4, 6, 5, 8)
    model = model_of_all_layers(features.shape[1:])
    before = [ops.convert_to_numpy(weight).copy() for weight in model.trainable_weights]
    model = keras.Model(model.inputs, model.outputs[1])
    # One program on JAX, which would compile every operation alone.
    compiled = keras.backend.backend() == "jax"
    model.compile(optimizer="adam", loss="mean_squared_error", jit_compile=compiled)
    history = model.fit(features, np.zeros(4), epochs=2, verbose=0).history["loss"]
    assert np.all(np.isfinite(history))
    moved = [
        np.abs(ops.convert_to_numpy(weight) - old).max() > 0
        for weight, old in zip(model.trainable_weights, before, strict=True)
    ]
    # A key's bias shifts all scores of a token alike, so no gradient reaches it.
    names = [weight.path for weight in model.trainable_weights]
    still = {name for name, m in zip(names, moved, strict=True) if not m}
    assert all(name.endswith("key/bias") for name in still), still
