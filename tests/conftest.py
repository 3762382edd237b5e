"""Shared by all tests."""

import gc
import os
import pathlib
import re
import signal

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_ignore_collect(collection_path, config):
    """Leaves out files of which a run of scripts/test_backends.py has no test.

    Importing them, and what they import, takes seconds for each.
    """
    if not collection_path.name.endswith("_test.py"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    marks = " ".join(re.findall(r"^pytestmark = (\[[^]]*\]|.*)", text, re.MULTILINE))
    independent, tensorflow = "backend_independent", "needs_tensorflow"
    is_optimized = "optimized" in marks
    without_tests = {
        f"not {independent} and not optimized": independent in marks or is_optimized,
        f"not {independent} and optimized": independent in marks
        or ("optimized" not in text),
        f"not {independent}": independent in marks,
        f"not ({independent} and {tensorflow})": (
            independent in marks and tensorflow in marks
        ),
        f"{independent} and {tensorflow}": tensorflow not in text,
    }
    return without_tests.get(config.getoption("markexpr")) or None


def pytest_sessionstart():
    """Takes Ctrl-C, which tests send, also where a shell began this run by `&`.

    Such a shell has SIGINT ignored, by this process and by all that it starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """Has Python's garbage collector leave out what was imported, which is no garbage.

    Looking through it again and again takes a twentieth of the time of all tests. So
    does looking after every 700 new objects: tracing a model makes many that stay.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish():
    """Spares the collector what is left: pytest has it look five times at the end."""
    gc.freeze()


@pytest.fixture(scope="session")
def golden():
    """Arrays made by running the authors' implementation: `golden(name)`."""
    folder = pathlib.Path(__file__).parent / "golden"

    def load(name):
        with np.load(folder / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load


@pytest.fixture(autouse=True, scope="module")
def forget_gradients():
    """Has TensorFlow let go of what the module's training steps were traced to.

    It keeps every gradient that a graph was given, and with it the graph, for ever: a
    run of all tests grew to 11 GB.
    """
    yield
    if os.environ.get("KERAS_BACKEND") != "tensorflow":
        return
    from tensorflow.python.framework import ops

    gradients = ops.gradient_registry._registry
    given = [name for name in gradients if name.startswith("CustomGradient-")]
    for name in given:
        del gradients[name]
    if given:
        gc.collect()


@pytest.fixture(autouse=True, scope="module")
def compiler(request):
    """Full optimisation by the compiler, in modules that are marked `optimized`."""
    quick = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS")
    is_optimized = not quick or request.node.get_closest_marker("optimized")
    if os.environ.get("KERAS_BACKEND") == "tensorflow":
        import tensorflow as tf

        # Rewriting graphs, which run once or twice, takes a sixth of all tests' time.
        options = {"disable_meta_optimizer": not is_optimized}
        tf.config.optimizer.set_experimental_options(options)
    if not (quick and is_optimized):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        # For the processes that a test starts.
        patch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS")
        if os.environ.get("KERAS_BACKEND") != "jax":
            yield
            return
        import jax

        jax.config.update("jax_disable_most_optimizations", False)
        # What was compiled before is not to be used.
        jax.clear_caches()
        yield
        jax.config.update("jax_disable_most_optimizations", True)
