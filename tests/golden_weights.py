"""Puts golden weights into a reconstructor, and compares with golden arrays."""

import keras
import numpy as np


def load_golden_weights(model, arrays):
    """Assigns every `weights/…` array to the variable whose path ends with its name."""
    variables = {variable.path: variable for variable in model.weights}
    for key, value in arrays.items():
        if key.startswith("weights/"):
            name = key.removeprefix("weights")
            (path,) = [path for path in variables if path.endswith(name)]
            variables.pop(path).assign(value)
    assert not variables, list(variables)


def assert_close(actual, expected, tolerance=2e-5):
    """The project's parity bar: relative to the largest absolute expected value."""
    actual = keras.ops.convert_to_numpy(actual).reshape(np.shape(expected))
    difference = np.max(np.abs(actual - expected))
    assert difference <= tolerance * np.max(np.abs(expected)), difference
