"""Shared by all tests."""

import os
import pathlib

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def golden():
    """Arrays made by running the authors' implementation: `golden(name)`."""
    folder = pathlib.Path(__file__).parent / "golden"

    def load(name):
        with np.load(folder / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load


@pytest.fixture(autouse=True, scope="module")
def compiler(request):
    """Full optimisation by JAX's compiler, in modules that are marked `optimized`."""
    quick = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS")
    if not (quick and request.node.get_closest_marker("optimized")):
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
