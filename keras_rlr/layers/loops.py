"""Loops over blocks, which hold the memory of one block at a time in a graph."""

import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
from keras import ops

_WRITTEN_OUT = contextvars.ContextVar("written_out", default=False)


@contextlib.contextmanager
def written_out_loops() -> Iterator[None]:
    """Has graphs made inside repeat the blocks, for runtimes that know no loops."""
    token = _WRITTEN_OUT.set(True)
    try:
        yield
    finally:
        _WRITTEN_OUT.reset(token)


def loops_are_written_out() -> bool:
    """Whether this is inside of `written_out_loops`."""
    return _WRITTEN_OUT.get()


def unknown_one(x: Any) -> Any:
    """1 as a number, or where loops are written out, as one that converters don't know.

    What is multiplied by it is not computed beforehand, and so not stored.

    Args:
        x: Tensor that depends on the images. Not on their number alone: OpenVINO
            bounds what depends on shapes, anew for each slice of it.
    """
    if not loops_are_written_out():
        return 1.0
    first = ops.sum(x[(slice(0, 1),) * len(x.shape)])
    return 1.0 - ops.cast(ops.abs(first) < 0, "float32")


def on_gpu() -> bool:
    """Whether blocks may be a GPU's. PyTorch's kernel has blocks of its own."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() != "cpu"
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    return False


def once(x: Any) -> Any:
    """Keeps XLA on JAX from computing `x` anew for each of its uses."""
    if keras.backend.backend() != "jax":
        return x
    import jax

    return jax.lax.optimization_barrier(x)


def each(function: Any, parts: Iterable[str], like: Any) -> Any:
    """Runs `function` on each entry of tensors, in turn; stacks what it returns.

    Args:
        function: Of one entry of each part; returns a tuple of tensors.
        parts: Tuple of tensors.
        like: Tuple of tensors that the result is like, but for values.
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
    """Runs `step(carry, i)` for i below `count`; stacks what it returns beside carry.

    In a graph it is a loop, which holds the memory of one block at a time.
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
