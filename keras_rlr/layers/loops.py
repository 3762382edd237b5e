"""Loops over blocks. A loop in a graph needs the memory of one block at a time."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

_WRITTEN_OUT = contextvars.ContextVar("written_out", default=False)
# How many scores of attention are worked out at a time. So many fit into a processor's
# cache; a GPU needs more work at a time. The latter was never measured.
_SCORES_OF_CPU = 2**21
_SCORES_OF_GPU = 2**25


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


def scores_at_a_time() -> int:
    """How many scores of attention a block has: what the kind of device asks for."""
    return _SCORES_OF_GPU if on_gpu() else _SCORES_OF_CPU


def entries_at_a_time(scores: int) -> int:
    """How many entries `map_entries` is to work out together.

    On a CPU it is one, whose weights stay in the cache. On a GPU one head of few tokens
    is less work than to start it, so it is as many as have the scores of a block.

    Args:
        scores: That an entry has at a time.
    """
    return max(1, scores_at_a_time() // scores) if on_gpu() else 1


def computed_once(x: Any) -> Any:
    """`x`, which XLA on JAX would otherwise compute again at each of its uses."""
    if keras.backend.backend() != "jax":
        return x
    import jax

    return jax.lax.optimization_barrier(x)


def map_entries(
    function: Callable[..., Any], parts: Any, like: Any, at_a_time: int = 1
) -> Any:
    """Calls `function` on the first entry of all tensors, on the second, and so on.

    Args:
        function: Takes one entry of each tensor; returns a tuple of tensors.
        parts: Tuple of tensors with the same first axis.
        like: Tuple of tensors with the shapes and dtypes of the result.
        at_a_time: Entries that JAX works out together; the others take them in turn.

    Returns:
        Tuple of tensors: what the calls returned, stacked.
    """
    if keras.backend.backend() == "jax":
        import jax

        if at_a_time >= parts[0].shape[0]:
            return jax.vmap(function)(*parts)
        together = at_a_time if at_a_time > 1 else None
        return jax.lax.map(lambda entry: function(*entry), parts, batch_size=together)
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
