"""Every way to attend against one written out in float64, with its gradient."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from benchmarks.naive import naive_attention
from keras_rlr import FeatureReconstructor
from keras_rlr.layers import loops
from keras_rlr.layers.attention import grid_attention
from keras_rlr.layers.blockwise_attention import blockwise_attention
from keras_rlr.layers.loops import written_out_loops
from keras_rlr.layers.neighborhood import window_mask
from keras_rlr.layers.windowed_attention import windowed_attention
from tests.golden_weights import assert_close

# Blocks of rows and tiles that divide the grid and that do not, one block and many, and
# a grid that is lower than the window.
GRIDS = [((6, 5), 3), ((17, 19), 3), ((20, 18), 7), ((32, 32), 7), ((3, 90), 7)]
# What is looked at, and the batches of keys and values: MLKA, LCA, and plain ones.
KINDS = [
    ("outside", 1, 3),
    ("outside", 3, 3),
    ("inside", 1, 1),
    ("inside", 3, 3),
    ("inside", 1, 3),
    ("inside", 3, 1),
    ("outside", 3, 1),
    ("all", 1, 1),
    ("all", 3, 3),
]


def random_heads(batch, grid, seed):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(batch, 2, grid[0] * grid[1], 4)).astype("float32")


def twin(query, key, value, upstream, grid, window, visible):
    """Result and gradients of attention, from the matrix of all weights, in float64."""
    query, key, value = (x.astype("float64") for x in (query, key, value))
    scores = query @ key.swapaxes(2, 3) / np.sqrt(query.shape[-1])
    if visible != "all":
        keys = key.shape[2] // (grid[0] * grid[1])
        inside = np.repeat(window_mask(*grid, window), keys, axis=1)
        scores = np.where(inside == (visible == "inside"), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    attended = weights @ value
    change = upstream @ value.swapaxes(2, 3)
    change -= np.sum(upstream * attended, axis=-1, keepdims=True)
    change *= weights / np.sqrt(query.shape[-1])
    gradients = (
        change @ key,
        change.swapaxes(2, 3) @ query,
        weights.swapaxes(2, 3) @ upstream,
    )
    # What a batch shares has the sum of its gradients.
    shared = zip(gradients, (query, key, value), strict=True)
    return attended, [
        g.sum(axis=0, keepdims=True) if len(x) < len(g) else g for g, x in shared
    ]


def with_gradients(attend, arguments, upstream):
    """Result and gradients of `attend`, by the backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(x) for x in arguments]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            attended = attend(*tensors)
        gradients = tape.gradient(attended, tensors, output_gradients=upstream)
    elif backend == "jax":
        import jax

        @jax.jit
        def run(upstream, *arguments):
            attended, pull_back = jax.vjp(attend, *arguments)
            return attended, pull_back(upstream)

        attended, gradients = run(upstream, *arguments)
    else:
        import torch

        tensors = [torch.tensor(x, requires_grad=True) for x in arguments]
        attended = attend(*tensors)
        gradients = torch.autograd.grad(attended, tensors, torch.tensor(upstream))
    return ops.convert_to_numpy(attended), [ops.convert_to_numpy(g) for g in gradients]


def scaled(attend, **settings):
    """Attention that expects its queries scaled, for queries that are not."""
    return lambda query, key, value: attend(query * 0.5, key, value, **settings)


def ways(grid, window, visible):
    """Functions of query, key and value that must all be the same."""
    yield functools.partial(grid_attention, grid=grid, window=window, visible=visible)
    if visible == "inside":
        yield scaled(windowed_attention, grid=grid, window=window, tile=5)
    else:
        hidden = window if visible == "outside" else None
        yield scaled(blockwise_attention, grid=grid, window=hidden)
        yield written_out_loops()(scaled(blockwise_attention, grid=grid, window=hidden))


# What the layers do. JAX compiles a program for each case, so it has all kinds on two
# grids, of one block and of several, and these on the others.
OF_LAYERS = [("outside", 1, 3), ("inside", 1, 1), ("all", 3, 3)]
CASES = [
    (*place, *kind)
    for place in GRIDS
    for kind in KINDS
    if keras.backend.backend() != "jax" or place in GRIDS[:2] or kind in OF_LAYERS
]


def check_against_twin(inputs, upstream, grid, window, visible):
    expected = twin(*inputs, upstream, grid, window, visible)
    for attend in ways(grid, window, visible):
        attended, gradients = with_gradients(attend, inputs, upstream)
        assert_close(attended, expected[0], 2e-6)
        for found, wanted in zip(gradients, expected[1], strict=True):
            assert_close(found, wanted, 1e-5)


@pytest.mark.parametrize(("grid", "window", "visible", "keys", "values"), CASES)
def test_equals_the_twin_and_so_do_the_gradients(grid, window, visible, keys, values):
    query, key, value, upstream = (
        random_heads(batch, grid, seed)
        for seed, batch in enumerate((3, keys, values, 3))
    )
    check_against_twin((query, key, value), upstream, grid, window, visible)


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch's kernel makes its own blocks"
)
@pytest.mark.parametrize(
    # All heads at a time, and four of six.
    ("visible", "batch", "scores"),
    [
        ("outside", 1, 2**30),
        ("outside", 3, 850_000),
        ("inside", 1, 2**30),
        ("inside", 3, 60_000),
    ],
)
def test_so_do_the_blocks_of_a_gpu(visible, batch, scores, monkeypatch):
    grid, window = (17, 19), 3
    monkeypatch.setattr(loops, "on_gpu", lambda: True)
    monkeypatch.setattr(loops, "_SCORES_OF_GPU", scores)
    inputs = [random_heads(n, grid, seed) for seed, n in enumerate((3, batch, batch))]
    upstream = random_heads(3, grid, 3)
    attend = functools.partial(
        grid_attention, grid=grid, window=window, visible=visible
    )
    attended, gradients = with_gradients(attend, inputs, upstream)
    expected = twin(*inputs, upstream, grid, window, visible)
    assert_close(attended, expected[0], 2e-6)
    for found, wanted in zip(gradients, expected[1], strict=True):
        assert_close(found, wanted, 1e-5)


@pytest.mark.parametrize(("grid", "window"), [((6, 5), 3), ((17, 19), 3)])
@pytest.mark.parametrize(("visible", "batch"), [("outside", 3), ("inside", 1)])
def test_several_keys_of_a_place_share_its_window(grid, window, visible, batch):
    three = (grid[0], 3 * grid[1])
    query, upstream = (random_heads(3, grid, seed) for seed in (0, 3))
    key, value = random_heads(1, three, 1), random_heads(batch, three, 2)
    check_against_twin((query, key, value), upstream, grid, window, visible)


@pytest.mark.backend_independent
@pytest.mark.parametrize("visible", ["inside", "outside"])
def test_the_benchmarks_reference_is_the_same(visible):
    grid, window = (9, 8), 3
    values = 1 if visible == "inside" else 2
    query, key, value = (
        ops.convert_to_tensor(random_heads(batch, (9, width), seed))
        for seed, (batch, width) in enumerate(((2, 8), (1, 16), (values, 16)))
    )
    expected = naive_attention(query, key, value, grid, window, visible)
    found = grid_attention(query, key, value, grid, window, visible)
    assert_close(found, ops.convert_to_numpy(expected), 2e-6)


@pytest.mark.parametrize("visible", ["all", "outside"])
def test_scores_of_hundreds_neither_overflow_nor_vanish(visible):
    grid, window = (20, 18), 3
    query, key, value, upstream = (
        30 * random_heads(2, grid, seed) for seed in range(4)
    )
    expected = twin(query, key, value, upstream, grid, window, visible)
    for attend in ways(grid, window, visible):
        attended, gradients = with_gradients(attend, (query, key, value), upstream)
        assert_close(attended, expected[0], 1e-4)
        assert all(np.isfinite(gradient).all() for gradient in gradients)


def cuts_off(dtype):
    """Whether the backend cuts products off instead of rounding them to the nearest.

    TensorFlow does with bfloat16, on processors that have no instructions for it.
    """
    unit = 2.0 ** (-7 if dtype == "bfloat16" else -10)
    terms = np.broadcast_to(np.array([1.0, 0.75 * unit], "float32"), (2, 9, 16, 2))
    product = ops.matmul(ops.cast(terms, dtype), ops.ones((2, 9, 2, 16), dtype))
    found = set(ops.convert_to_numpy(ops.cast(product, "float32")).ravel().tolist())
    assert found <= {1.0, 1.0 + unit}
    return 1.0 in found


@pytest.mark.parametrize(("dtype", "error"), [("bfloat16", 2**-6), ("float16", 2**-9)])
@pytest.mark.parametrize("visible", ["inside", "outside"])
def test_small_dtypes_have_a_softmax_and_sums_of_float32(visible, dtype, error):
    grid, window = (20, 18), 3
    arrays = [random_heads(2, grid, seed) for seed in range(4)]
    query, key, value, upstream = (
        ops.convert_to_numpy(ops.cast(ops.cast(x, dtype), "float32")) for x in arrays
    )
    expected, wanted = twin(query, key, value, upstream, grid, window, visible)
    for attend in ways(grid, window, visible):

        def attend_small(*arguments, attend=attend):
            attended = attend(*(ops.cast(x, dtype) for x in arguments))
            assert keras.backend.standardize_dtype(attended.dtype) == dtype
            return ops.cast(attended, "float32")

        arguments = (query, key, value)
        attended, gradients = with_gradients(attend_small, arguments, upstream)
        # Half a unit in the last place of weights, of products and of their sum.
        assert np.abs(attended - expected).max() < error * (2 if cuts_off(dtype) else 1)
        for gradient, gradient_wanted in zip(gradients, wanted, strict=True):
            # They come of twice as many products.
            assert_close(gradient, gradient_wanted, 2 * error)


GRID = (48, 48)


def largest_tensor(model, features):
    """Number of values of the largest tensor in a train step's graph."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function
        def step(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model(x) ** 2)
            return tape.gradient(loss, model.trainable_variables)

        graph = step.get_concrete_function(features).graph
        inner = [f.graph for f in graph._functions.values()]
        return max(
            output.shape.num_elements() or 0
            for part in (graph, *inner)
            for operation in part.get_operations()
            for output in operation.outputs
            if output.shape.rank is not None
        )
    if backend == "jax":
        import jax

        def loss(weights, x):
            outputs, _ = model.stateless_call(weights, [], x)
            return (outputs**2).mean()

        weights = [variable.value for variable in model.trainable_variables]
        return max(sizes(jax.make_jaxpr(jax.grad(loss))(weights, features).jaxpr))
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            found = keras.tree.flatten(result)
            seen.extend(x.numel() for x in found if isinstance(x, torch.Tensor))
            return result

    with Watch():
        (model(features) ** 2).mean().backward()
    return max(seen)


def kept_bytes(model, features):
    """Bytes that a train step keeps from its forward pass for its gradient."""
    if keras.backend.backend() == "jax":
        import jax

        @jax.jit
        def loss(weights):
            outputs, _ = model.stateless_call(weights, [], features)
            return (outputs**2).mean()

        weights = [variable.value for variable in model.trainable_variables]
        _, pull_back = jax.vjp(loss, weights)
        return sum(leaf.nbytes for leaf in jax.tree.leaves(pull_back))
    import torch

    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _ = (model(features) ** 2).mean()
    return sum(kept.values())


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow",
    reason="a TensorFlow graph does not tell what it keeps",
)
def test_what_is_kept_for_the_gradient_grows_with_the_tokens():
    kept = []
    for side in (32, 64):
        model = FeatureReconstructor(16, 5, num_heads=2, num_blocks=2, seed=0)
        features = np.zeros((1, side, side, 6), "float32")
        model.build(features.shape)
        kept.append(kept_bytes(model, features))
    # Four times the tokens; with a mask kept for every block it would be ten.
    assert 3 < kept[1] / kept[0] < 4 * 1.3


def sizes(jaxpr):
    """Number of values of every result in a jaxpr and those inside it."""
    for equation in jaxpr.eqns:
        yield from (v.aval.size for v in equation.outvars if hasattr(v.aval, "size"))
        for value in keras.tree.flatten(list(equation.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from sizes(inner)


def test_no_tensor_is_of_all_tokens_by_all_tokens():
    model = FeatureReconstructor(16, 5, num_heads=2, num_blocks=1, seed=0)
    features = np.zeros((1, *GRID, 6), "float32")
    model.build(features.shape)
    tokens = GRID[0] * GRID[1]
    largest = largest_tensor(model, features)
    # It did look at the weights of a block at least.
    assert 2 * 100 * 100 < largest < tokens * tokens / 2
