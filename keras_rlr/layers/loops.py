"""Loops over blocks. A loop in a graph needs the memory of one block at a time."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

_WRITTEN_OUT = contextvars.ContextVar("written_out", default=False)


@contextlib.contextmanager
def written_out_loops() -> Iterator[None]:
    """Writes a loop's steps one after the other into graphs that are made inside.

    For runtimes that know no loops.
    """
    token = _WRITTEN_OUT.set(True)
    try:
        yield
    finally:
        _WRITTEN_OUT.reset(token)


def loops_are_written_out() -> bool:
    """Whether this is inside of `written_out_loops`."""
    return _WRITTEN_OUT.get()


def unknown_one(x: Any) -> Any:
    """1, made so that a converter can't know that it is 1 where loops are written out.

    A converter computes beforehand what depends on nothing, and stores the result in
    the exported file. What is multiplied by this number it can't compute, so a large
    table stays out of the file.

    Args:
        x: Tensor that depends on the images. To depend on their number is not enough:
            OpenVINO works out what depends on shapes, once for each slice.
    """
    if not loops_are_written_out():
        return 1.0
    first = ops.sum(x[(slice(0, 1),) * len(x.shape)])
    return 1.0 - ops.cast(ops.abs(first) < 0, "float32")


def on_gpu() -> bool:
    """Whether blocks can be as large as a GPU likes. PyTorch's kernel makes its own."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() != "cpu"
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    return False


def computed_once(x: Any) -> Any:
    """`x`, which XLA on JAX would otherwise compute again at each of its uses."""
    if keras.backend.backend() != "jax":
        return x
    import jax

    return jax.lax.optimization_barrier(x)


def map_entries(function: Callable[..., Any], parts: Any, like: Any) -> Any:
    """Calls `function` on the first entry of all tensors, on the second, and so on.

    Args:
        function: Takes one entry of each tensor; returns a tuple of tensors.
        parts: Tuple of tensors with the same first axis.
        like: Tuple of tensors with the shapes and dtypes of the result.

    Returns:
        Tuple of tensors: what the calls returned, stacked.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.map(lambda entry: function(*entry), parts)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.map_fn(
            lambda entry: function(*entry),
            parts,
            parallel_iterations=1,
            fn_output_signature=tuple(
                tf.TensorSpec(part.shape[1:], part.dtype) for part in like
            ),
        )
    results = [function(*entry) for entry in zip(*parts, strict=True)]
    return tuple(ops.stack(column) for column in zip(*results, strict=True))


def loop(step: Callable[[Any, Any], Any], carry: Any, count: int) -> Any:
    """Calls `step(carry, i)` for every i below `count`, in turn.

    Args:
        step: Returns the next carry and an output.
        carry: The first carry.
        count: Number of steps.

    Returns:
        The last carry, and the outputs stacked.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.scan(step, carry, jax.numpy.arange(count))
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_loop(step, carry, count)
    outputs = []
    for i in range(count):
        carry, output = step(carry, i)
        outputs.append(output)
    return carry, keras.tree.map_structure(lambda *parts: ops.stack(parts), *outputs)


def _tensorflow_loop(step, carry, count):
    import tensorflow as tf

    carry, first = step(carry, 0)
    arrays = [
        tf.TensorArray(part.dtype, count, element_shape=part.shape).write(0, part)
        for part in keras.tree.flatten(first)
    ]

    def body(i, carry, arrays):
        carry, output = step(carry, i)
        output = keras.tree.flatten(output)
        arrays = [a.write(i, part) for a, part in zip(arrays, output, strict=True)]
        return i + 1, carry, arrays

    _, carry, arrays = tf.while_loop(
        lambda i, *_: i < count,
        body,
        (1, carry, arrays),
        maximum_iterations=count,
        parallel_iterations=1,
    )
    stacked = [array.stack() for array in arrays]
    return carry, keras.tree.pack_sequence_as(first, stacked)
