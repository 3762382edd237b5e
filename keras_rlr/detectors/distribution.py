"""Data parallelism: where the variables live and how many devices share a batch."""

import contextlib

import keras

from keras_rlr import processes
from keras_rlr.keras_private import keep_on_devices


def resolve_distribution(distribution):
    """Turns what the user asked for into an object of the backend.

    Processes that train together use all of their devices, and no other number.

    Args:
        distribution: None, a number of devices, a `keras.distribution` object
            (JAX) or a `tf.distribute.Strategy` (TensorFlow).

    Returns:
        None, a `keras.distribution` object or a `tf.distribute.Strategy`.

    Raises:
        ValueError: If the backend has not so many devices or no such thing.
    """
    # Both kinds are known by what they can do: Keras exports no common class of its
    # own, and TensorFlow is not to be imported here.
    if hasattr(distribution, "get_data_layout"):
        if keras.backend.backend() != "jax":
            raise ValueError(
                "A keras.distribution object needs the JAX backend. On TensorFlow "
                "give a tf.distribute.Strategy or a number of devices."
            )
        return distribution
    if hasattr(distribution, "num_replicas_in_sync"):
        return distribution
    if distribution is None:
        return _of_processes() if processes.count() > 1 else None
    if isinstance(distribution, bool) or not isinstance(distribution, int):
        raise ValueError(
            "`distribution` must be None, a number of devices, a "
            "object of keras.distribution or a tf.distribute.Strategy. Received: "
            f"{distribution!r}."
        )
    if distribution < 1:
        raise ValueError(
            f"A number of devices must be at least 1. Received: {distribution}."
        )
    if processes.count() > 1:
        return _of_processes(distribution)
    if distribution == 1:
        return None
    return _of_devices(distribution)


def count_devices():
    """Number of devices of this process that can share a batch."""
    return len(_devices_of_backend()) or 1


def _devices_of_backend():
    """Those that a number is of; none where Keras has no data parallelism."""
    backend = keras.backend.backend()
    if backend == "jax":
        return keras.distribution.list_devices()
    if backend == "tensorflow":
        import tensorflow as tf

        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        return [device.name for device in tf.config.list_logical_devices(kind)]
    return []


def _of_devices(count):
    backend = keras.backend.backend()
    devices = _devices_of_backend()
    if backend == "jax":
        _require(
            len(devices), count, "XLA_FLAGS=--xla_force_host_platform_device_count"
        )
        return keras.distribution.DataParallel(
            devices=devices[:count], auto_shard_dataset=False
        )
    if backend == "tensorflow":
        import tensorflow as tf

        _require(len(devices), count, "tf.config.set_logical_device_configuration")
        return tf.distribute.MirroredStrategy(devices[:count])
    raise ValueError(
        f"distribution={count} is not available on the {backend} backend: Keras has "
        "no data parallelism for it. Use TensorFlow or JAX, or distribution=None, or "
        "start a process for each device with torchrun."
    )


def _of_processes(wanted=None):
    """All devices of all processes, unless the user's code has set others."""
    on_jax = keras.backend.backend() == "jax"
    devices = keras.distribution.list_devices() if on_jax else []
    available = len(devices) if on_jax else processes.count()
    if wanted not in (None, available):
        raise ValueError(
            f"{processes.count()} processes train together on all of their "
            f"{available} devices. Received distribution={wanted}: leave it out, or "
            "start other processes."
        )
    if not on_jax or keras.distribution.distribution() is not None:
        return None
    if available % processes.count():
        raise ValueError(
            f"{processes.count()} processes have {available} devices together, so not "
            "each the same number. Give each as many."
        )
    return keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)


def _require(available, wanted, remedy):
    if available < wanted:
        raise ValueError(
            f"distribution={wanted} needs {wanted} devices, but the backend sees "
            f"{available}. Ask for {available}, or make more (for tests on a CPU: "
            f"{remedy})."
        )


def distribution_scope(distribution):
    """The context in which variables are created and steps are run."""
    return contextlib.nullcontext() if distribution is None else distribution.scope()


def spread_variables(model, distribution):
    """Puts variables that were created elsewhere on all devices, under JAX.

    A user's backbone may be older than the distribution; JAX does not compute with
    variables of one device beside those of several.

    Args:
        model: A Keras model; the variables of its optimizer and metrics go with it.
        distribution: What `resolve_distribution` returned, or the current one.
    """
    if not hasattr(distribution, "get_variable_layout"):
        return
    variables = [*model.variables, *model.metrics_variables]
    if getattr(model, "optimizer", None) is not None:
        variables += model.optimizer.variables
    for variable in variables:
        keep_on_devices(variable, distribution.get_variable_layout(variable))


def current_distribution():
    """The distribution the user's surrounding code has set, or None."""
    backend = keras.backend.backend()
    if backend == "jax":
        return keras.distribution.distribution()
    if backend == "tensorflow":
        import tensorflow as tf

        if tf.distribute.has_strategy():
            return tf.distribute.get_strategy()
    return None


def device_count(distribution):
    """Number of devices that share a batch."""
    if distribution is None:
        return processes.count()
    if hasattr(distribution, "num_replicas_in_sync"):
        return distribution.num_replicas_in_sync
    return distribution.num_model_replicas


def keep_everywhere(outputs, distribution):
    """Has every process of JAX hold all rows of what the devices of all compute.

    Args:
        outputs: Dict of tensors, in a traced step.
        distribution: A `keras.distribution` object.
    """
    mesh = distribution.device_mesh
    return {
        name: keras.distribution.distribute_tensor(
            rows, keras.distribution.TensorLayout([None] * len(rows.shape), mesh)
        )
        for name, rows in outputs.items()
    }
