import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr.layers.input_gradient import value_and_input_gradient

X = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
FACTORS = np.arange(8, dtype="float32").reshape(4, 2)


def function(x):
    return ops.sum(ops.sin(x) * ops.convert_to_tensor(FACTORS), axis=(1, 2))


class Sloped(keras.Model):
    def call(self, x):
        values, gradient = value_and_input_gradient(function, x)
        return {"value": values, "gradient": gradient}


def check(values, gradient):
    np.testing.assert_allclose(values, (np.sin(X) * FACTORS).sum((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(gradient, np.cos(X) * FACTORS, rtol=1e-5, atol=1e-6)


def test_it_is_the_derivative():
    values, gradient = value_and_input_gradient(function, ops.convert_to_tensor(X))
    check(ops.convert_to_numpy(values), ops.convert_to_numpy(gradient))


def test_it_is_taken_in_predict_which_switches_gradients_off():
    outputs = Sloped().predict(X, batch_size=2, verbose=0)
    check(outputs["value"], outputs["gradient"])


def test_it_is_taken_of_symbolic_tensors():
    image = keras.Input((4, 2))
    outputs = keras.Model(image, Sloped()(image)).predict(X, verbose=0)
    check(outputs["value"], outputs["gradient"])


def test_variables_of_the_function_may_be_trained_around_it():
    layer = keras.layers.Dense(1)
    layer.build((None, 2))

    def energy(x):
        return ops.sum(ops.square(layer(x)), axis=(1, 2))

    _, gradient = value_and_input_gradient(energy, ops.convert_to_tensor(X))
    kernel = ops.convert_to_numpy(layer.kernel)
    np.testing.assert_allclose(
        ops.convert_to_numpy(gradient),
        2 * (X @ kernel) * kernel[:, 0],
        rtol=1e-4,
        atol=1e-5,
    )


def test_it_has_one_where_pytorch_infers():
    torch = pytest.importorskip("torch")
    if keras.backend.backend() != "torch":
        pytest.skip("PyTorch's mode")
    with torch.inference_mode():
        values, gradient = value_and_input_gradient(function, torch.tensor(X))
    check(ops.convert_to_numpy(values), ops.convert_to_numpy(gradient))
