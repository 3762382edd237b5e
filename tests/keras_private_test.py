"""The private names of Keras that are used: each works, and all are in one file."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
from packaging.version import Version

import keras_rlr
from keras_rlr import keras_private
from tests.fresh_process import run_fresh
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

PACKAGE = Path(keras_rlr.__file__).parent
# Underscored names that stand for something of Keras', and of nobody else here.
PRIVATE_NAMES = {
    "_compile_metrics",
    "_flatten_layers",
    "_iterations",
    "_jax_state",
    "_layers",
    "_loss_tracker",
    "_metrics",
    "_tracker",
    "_value",
}


@pytest.mark.backend_independent
def test_this_keras_is_one_of_those_tested():
    """Else: run the whole suite on it, and add it, or mend `keras_private`."""
    assert keras.__version__ in keras_private.TESTED_VERSIONS


@pytest.mark.backend_independent
def test_the_bounds_of_the_installation_are_the_tested_versions():
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    first, last = map(
        Version,
        keras_private.TESTED_VERSIONS[:: len(keras_private.TESTED_VERSIONS) - 1],
    )
    floor = f"{first.major}.{first.minor}"
    ceiling = f"{last.major}.{last.minor + 1}"
    assert f'"keras>={floor},<{ceiling}"' in project


@pytest.mark.backend_independent
def test_no_other_file_has_a_private_name_of_keras():
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.name == "keras_private.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            private = any(name.startswith("keras.src") for name in names)
            if isinstance(node, ast.Attribute):
                on_self = isinstance(node.value, ast.Name) and node.value.id == "self"
                private = node.attr in PRIVATE_NAMES and not (
                    on_self and node.attr != "_loss_tracker"
                )
            if private:
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert found == []


def test_an_adapter_is_taken_for_data_by_the_trainer():
    class Two(keras_private.DataAdapter):
        num_batches, batch_size, has_partial_batch, partial_batch_size = 2, 3, False, 0

        def _batches(self):
            yield from [(np.ones((3, 1), "float32"),)] * 2

        get_numpy_iterator = get_jax_iterator = _batches

        def get_torch_dataloader(self):
            return list(self._batches())

        def get_tf_dataset(self):
            import tensorflow as tf

            return tf.data.Dataset.from_tensor_slices((np.ones((2, 3, 1), "float32"),))

    model = keras.Sequential([keras.Input((1,)), keras.layers.ReLU()])
    assert model.predict(Two(), verbose=0).shape == (6, 1)


@pytest.mark.backend_independent
def test_safe_loading_is_noticed(tmp_path):
    seen = []

    @keras.saving.register_keras_serializable(package="test_keras_private")
    class Witness(keras.layers.Layer):
        @classmethod
        def from_config(cls, config):
            seen.append(
                (keras_private.is_loading_safely(), keras_private.is_loading_unsafely())
            )
            return cls(**config)

    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((1,)), Witness()]).save(path)
    seen.clear()
    keras.saving.load_model(path)
    keras.saving.load_model(path, safe_mode=False)
    assert seen == [(True, False), (False, True)]
    assert not keras_private.is_loading_safely()
    assert not keras_private.is_loading_unsafely()


@pytest.mark.backend_independent
def test_tensorflow_is_imported_when_keras_would_or_left_out():
    code = (
        "import sys, keras; from keras_rlr import keras_private\n"
        "if sys.argv[1] == 'out': keras_private.leave_out_tensorflow()\n"
        "keras.saving.serialize_keras_object(keras.layers.ReLU())\n"
        "print(keras.src.utils.module_utils.tensorflow.module is not None)"
    )
    for words, found in (("out", "False"), ("in", "True")):
        assert run_fresh(code, words).stdout.split() == [found]


def test_the_loss_tracker_is_taken_out():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse", metrics=["mae"])
    model.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0)
    names = [metric.name for metric in model.metrics]
    kept = keras_private.without_loss_tracker(model, model.metrics)
    assert [metric.name for metric in kept] == [n for n in names if n != "loss"]
    assert len(kept) == len(names) - 1


@pytest.mark.parametrize("wrap", [lambda x: x, keras.optimizers.LossScaleOptimizer])
def test_all_steps_are_counted(wrap):
    optimizer = wrap(keras.optimizers.SGD(gradient_accumulation_steps=2))
    variable = keras.Variable(np.ones(2, "float32"))
    optimizer.build([variable])
    for _ in range(3):
        if keras.backend.backend() != "jax":
            optimizer.apply([keras.ops.ones(2)], [variable])
            continue
        # As Keras' trainer does: outside of it a loss scale can't be applied on JAX.
        own = [v.value for v in optimizer.variables]
        _, own = optimizer.stateless_apply(own, [variable.value], [keras.ops.ones(2)])
        for state, value in zip(optimizer.variables, own, strict=True):
            state.assign(value)
    assert int(keras.ops.convert_to_numpy(keras_private.step_count(optimizer))) == 3
    keras_private.step_count(optimizer).assign(5)
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 2


@pytest.mark.backend_independent
def test_layers_inside_of_others_are_listed():
    inner = keras.Sequential([keras.Input((1,)), keras.layers.ReLU(name="inside")])
    model = keras.Sequential([keras.Input((1,)), inner])
    names = [layer.name for layer in keras_private.flat_layers(model)]
    assert "inside" in names and inner.name in names


def test_values_that_the_jax_trainer_took_are_noticed_and_given_back():
    """What happens when data raises in the midst of an epoch."""
    model = tiny_model(**ONE_LEVEL)
    images = random_images(4)

    class Failing(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            if index:
                raise RuntimeError("the camera is gone")
            return images[:2]

    with pytest.raises(RuntimeError, match="the camera is gone"):
        model.fit(Failing(), epochs=1, verbose=0)
    assert not any(map(keras_private.has_lost_value, model.variables))
    model.predict(images, verbose=0)
    if keras.backend.backend() == "jax":
        variable = keras.Variable([1.0])
        # As Keras' `jax_state_sync` and trainer do.
        variable._value = None
        assert keras_private.has_lost_value(variable)
        keras_private.drop_jax_state(model)
        assert model._jax_state is None


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX's variables alone")
def test_a_variable_keeps_its_devices_when_it_is_assigned():
    distribution = keras.distribution.DataParallel(
        devices=keras.distribution.list_devices("cpu")[:1]
    )
    variable = keras.Variable(np.zeros(3, "float32"))
    layout = distribution.get_variable_layout(variable)
    keras_private.keep_on_devices(variable, layout)
    for value in (variable.value, np.ones(3, "float32")):
        variable.assign(value)
        assert variable.value.sharding.is_equivalent_to(layout.backend_layout, 1)
