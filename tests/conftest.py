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
