"""What every layer of the package must do, whatever it computes."""

import json
import pathlib
import tempfile

import keras
import numpy as np
from keras import ops


def to_numpy(outputs):
    """Returns a structure of tensors as float32 or integer arrays."""

    def convert(tensor):
        if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
            tensor = ops.cast(tensor, "float32")
        return ops.convert_to_numpy(tensor)

    return keras.tree.map_structure(convert, outputs)


def check_layer(layer, *inputs, weights=0, frozen_weights=0, compute_dtype="bfloat16"):
    """Checks shapes, weights, configuration, saving and mixed precision.

    Args:
        layer: the layer, built or not.
        *inputs: positional call arguments: float32 arrays or lists of them.
        weights: how many trainable weights it must have.
        frozen_weights: how many others.
        compute_dtype: of the output under mixed_bfloat16.
    """
    output = to_numpy(layer(*inputs))
    assert_output_shape(layer, inputs, output)
    assert len(layer.trainable_weights) == weights
    assert len(layer.non_trainable_weights) == frozen_weights
    assert_config_round_trip(layer)
    assert_saves_and_loads(layer, inputs, output)
    assert_mixed_precision(layer, inputs, output, compute_dtype)


def assert_output_shape(layer, inputs, output):
    """The promised shape is the real one, with the batch's size and without."""

    def promised(batch):
        shapes = [
            [(batch, *array.shape[1:]) for array in argument]
            if isinstance(argument, list)
            else (batch or argument.shape[0], *argument.shape[1:])
            for argument in inputs
        ]
        return tuple(layer.compute_output_shape(*shapes))

    batch = keras.tree.flatten(inputs)[0].shape[0]
    assert promised(batch) == output.shape
    assert promised(None)[1:] == output.shape[1:]


def assert_config_round_trip(layer):
    """A configuration that went through JSON gives an equal one."""
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(copy) is type(layer)
    assert keras.saving.serialize_keras_object(copy)["config"] == config["config"]


def assert_saves_and_loads(layer, inputs, output):
    """A functional model with the layer in it keeps its outputs in a .keras file."""
    symbolic = keras.tree.map_structure(
        lambda array: keras.Input(array.shape[1:]), list(inputs)
    )
    model = keras.Model(symbolic, layer(*symbolic))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    assert_equal(model(list(inputs)), output)
    assert_equal(loaded(list(inputs)), output)


def assert_equal(actual, expected):
    """Equal up to what a compiled graph may reorder."""
    largest = max(1.0, float(np.max(np.abs(expected))))
    np.testing.assert_allclose(to_numpy(actual), expected, rtol=0, atol=1e-6 * largest)


def assert_mixed_precision(layer, inputs, output, compute_dtype):
    """Under mixed_bfloat16 the weights stay float32 and the output close."""
    config = {**layer.get_config(), "dtype": "mixed_bfloat16"}
    mixed = type(layer).from_config(config)
    result = mixed(*inputs)
    mixed.set_weights(layer.get_weights())
    result = mixed(*inputs)
    assert keras.backend.standardize_dtype(result.dtype) == compute_dtype
    assert all(variable.dtype == "float32" for variable in mixed.weights)
    error = np.max(np.abs(to_numpy(result) - output))
    assert error <= 0.05 * np.max(np.abs(output)) + 1e-6
