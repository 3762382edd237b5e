"""All of Keras that this package uses and Keras has no public name for.

Nothing else in the package may touch a private name of Keras, so that a new version
of Keras breaks this file alone. `tests/keras_private_test.py` checks every function
here and that no other file has a private name; `TESTED_VERSIONS` says which
versions of Keras it passed on. pyproject.toml has the first of them as the floor and
ends below the first version that was not tried.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

# Whether an object is being read from a file, and in safe mode.
from keras.src.saving.serialization_lib import in_safe_mode

# The trainer takes any adapter of this class for data.
from keras.src.trainers.data_adapters.data_adapter import DataAdapter

# Imported when Keras first asks whether there is TensorFlow.
from keras.src.utils.module_utils import tensorflow

TESTED_VERSIONS = ("3.15.0", "3.15.1")

__all__ = [
    "TESTED_VERSIONS",
    "DataAdapter",
    "checked_variables",
    "drop_jax_state",
    "flat_layers",
    "has_lost_value",
    "import_tensorflow",
    "is_loading_safely",
    "is_loading_unsafely",
    "keep_on_devices",
    "leave_out_tensorflow",
    "step_count",
    "unlocked",
    "without_loss_tracker",
]


def import_tensorflow() -> None:
    """Imports TensorFlow if Keras is going to, as on every backend if it is installed.

    It does so when it first writes a configuration: any value might be TensorFlow's.
    """
    _ = tensorflow.available


def leave_out_tensorflow() -> None:
    """Has Keras on another backend take it that no value is TensorFlow's."""
    tensorflow._available = False


def is_loading_safely() -> bool:
    """Whether the caller runs inside of a safe `keras.saving.load_model`.

    Keras enters safe mode while it calls an object's `from_config`,
    `build_from_config` and `compile_from_config`.
    """
    return in_safe_mode() is True


def is_loading_unsafely() -> bool:
    """Whether the user has switched safe mode off, for one file or for all."""
    return in_safe_mode() is False


@contextlib.contextmanager
def checked_variables(check: Callable[[Any], None]) -> Iterator[None]:
    """Calls a function with the shape of each variable before it has memory.

    Only of variables that this thread makes of an initializer; that which is made of
    an array has its memory already.

    Args:
        check: Takes a shape as the layer gave it; raises to refuse the variable.
    """
    thread = threading.get_ident()
    with _checking_one_at_a_time:
        original = keras.Variable.__init__

        def checked(self: Any, *args: Any, **kwargs: Any) -> None:
            shape = kwargs.get("shape", args[1] if len(args) > 1 else None)
            if threading.get_ident() == thread and shape is not None:
                check(shape)
            original(self, *args, **kwargs)

        keras.Variable.__init__ = checked
        try:
            yield
        finally:
            keras.Variable.__init__ = original


# What is put back must be what was there.
_checking_one_at_a_time = threading.RLock()


def without_loss_tracker(
    model: keras.Model, metrics: Sequence[keras.Metric]
) -> list[keras.Metric]:
    """Metrics less the mean of the loss that Keras adds to every compiled model.

    Args:
        model: The model.
        metrics: What `keras.Model.metrics` gave.
    """
    tracker = getattr(model, "_loss_tracker", None)
    return [metric for metric in metrics if metric is not tracker]


def flat_layers(model: keras.Model) -> list[keras.Layer]:
    """All layers of a model in Keras' order, those inside of others too."""
    return list(model._flatten_layers())


def drop_jax_state(model: keras.Model) -> None:
    """Has the JAX trainer forget the values it carries from step to step.

    Call `model.jax_state_sync()` first; it writes them back to the variables.
    """
    model._jax_state = None


def has_lost_value(variable: Any) -> bool:
    """Whether the JAX trainer took a variable's value away and never gave it back.

    `variable.value` would raise, or make a new initial value, instead of saying so.
    """
    return variable._value is None


def keep_on_devices(variable: Any, layout: Any) -> None:
    """Puts a JAX variable on devices, with every value that it will be assigned.

    Keras gives a variable its layout when it is made. One that is older than the
    distribution would go back to one device at the next `assign`.

    Args:
        variable: The variable.
        layout: What `distribution.get_variable_layout(variable)` returned.
    """
    variable._layout = layout
    variable.assign(variable.value)


def step_count(optimizer: keras.optimizers.Optimizer) -> Any:
    """The variable that counts an optimizer's steps.

    With `gradient_accumulation_steps` its `iterations` are a number, of the steps that
    changed weights alone.

    Args:
        optimizer: The optimizer, or Keras' wrapper of it under mixed_float16.
    """
    return getattr(optimizer, "inner_optimizer", optimizer)._iterations


@contextlib.contextmanager
def unlocked(layer: keras.Layer) -> Iterator[None]:
    """Lets a layer that is built have weights of another size.

    Args:
        layer: The layer. An attribute that held a weight is deleted first, which is
            Keras' way to drop it.
    """
    layer._tracker.unlock()
    try:
        yield
    finally:
        layer._tracker.lock()
