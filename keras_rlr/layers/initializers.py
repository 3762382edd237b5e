"""Seeded initial values, the same on every backend.

Keras' own initializers draw from the backend's generator, so one seed gives
three different models on three backends. These draw from NumPy's Philox.
"""

import numbers
import random
import zlib
from typing import Any

import keras
import numpy as np
from keras import ops


def resolve_seed(seed: int | None) -> int:
    """Returns `seed`, or a new one drawn so that `keras.utils.set_random_seed` rules.

    Args:
        seed: Non-negative integer, or None.

    Returns:
        An integer in [0, 2**31).

    Raises:
        ValueError: If `seed` is neither None nor a non-negative integer.
    """
    if seed is None:
        return random.randrange(2**31)
    is_integer = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not is_integer or seed < 0:
        raise ValueError(
            f"`seed` must be None or an integer of at least 0. Received: {seed!r}."
        )
    return int(seed)


def derive_seed(seed: int, name: str) -> int:
    """Returns the seed of the part `name` of something seeded with `seed`."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
    return int(sequence.generate_state(1)[0]) & 0x7FFFFFFF


@keras.saving.register_keras_serializable(package="keras_rlr")
class SeededUniform(keras.initializers.Initializer):
    """Uniform initial values in [-limit, limit) from NumPy, equal on all backends.

    Args:
        limit: Half the width of the interval.
        seed: Non-negative integer.

    Example:

    >>> keras_rlr.layers.SeededUniform(limit=0.1, seed=0)((2, 3)).shape
    (2, 3)
    """

    def __init__(self, limit: float, seed: int | None = 0) -> None:
        self.limit = float(limit)
        self.seed = resolve_seed(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Returns initial values of `shape`."""
        generator = np.random.Generator(np.random.Philox(self.seed))
        values = generator.random(shape, dtype="float32") * 2.0 - 1.0
        return ops.convert_to_tensor(values * np.float32(self.limit), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"limit": self.limit, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_rlr")
class SeededNormal(keras.initializers.Initializer):
    """Normal initial values of mean 0 from NumPy, equal on all backends.

    Args:
        stddev: Standard deviation.
        seed: Non-negative integer.

    Example:

    >>> keras_rlr.layers.SeededNormal(stddev=1.0, seed=0)((2, 3)).shape
    (2, 3)
    """

    def __init__(self, stddev: float = 1.0, seed: int | None = 0) -> None:
        self.stddev = float(stddev)
        self.seed = resolve_seed(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Returns initial values of `shape`."""
        generator = np.random.Generator(np.random.Philox(self.seed))
        values = generator.standard_normal(shape, dtype="float32")
        return ops.convert_to_tensor(values * np.float32(self.stddev), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"stddev": self.stddev, "seed": self.seed}
