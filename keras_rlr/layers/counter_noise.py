"""Standard normal noise as a pure function of a key and a position.

The backends' own generators differ from each other and, across devices, from
themselves. A hash of (key, position) gives the same noise on every backend, for any
number of devices and after a resume; only int32 operations are used, because
PyTorch has few for unsigned integers and JAX has no 64-bit ones by default.
"""

import math
from typing import Any

from keras import ops


def _signed(value):
    return value - (1 << 32) if value >= 1 << 31 else value


# Constants of the 32-bit integer hash "lowbias32" (Wellons, 2018, public domain).
_FIRST = _signed(0x7FEB352D)
_SECOND = _signed(0x846CA68B)
_GOLDEN = _signed(0x9E3779B9)


def _shift(value, bits):
    # int32 shifts keep the sign; the mask turns them into logical shifts.
    return ops.bitwise_and(
        ops.right_shift(value, ops.cast(bits, "int32")),
        ops.cast((1 << (32 - bits)) - 1, "int32"),
    )


def _hash(value):
    value = ops.bitwise_xor(value, _shift(value, 16)) * ops.cast(_FIRST, "int32")
    value = ops.bitwise_xor(value, _shift(value, 15)) * ops.cast(_SECOND, "int32")
    return ops.bitwise_xor(value, _shift(value, 16))


def counter_uniform(keys: Any, size: int, stream: Any) -> Any:
    """Uniform values in (-1, 1), symmetric about 0, never 0 or ±1.

    Args:
        keys: int32 tensor (batch, 2).
        size: Number of values for each key.
        stream: Non-negative integer below 2**31: separates independent uses.

    Returns:
        float32 tensor (batch, size).
    """
    stream = ops.cast(stream, "int32")
    first = _hash(ops.bitwise_xor(keys[:, :1], stream))
    second = keys[:, 1:]
    position = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
    bits = _hash(position * ops.cast(_GOLDEN, "int32") + first)
    bits = _shift(_hash(ops.bitwise_xor(bits, second)), 9)
    # 23 bits and one half are exact in float32, so neither -1 nor 1 is ever reached.
    return (ops.cast(bits, "float32") + 0.5) * (2.0**-22) - 1.0


def counter_normal(keys: Any, size: int, stream: int = 0) -> Any:
    """Standard normal values that depend on nothing but the arguments.

    Args:
        keys: int32 tensor (batch, 2).
        size: Number of values for each key.
        stream: Non-negative integer below 2**31: separates independent uses.

    Returns:
        float32 tensor (batch, size).
    """
    return math.sqrt(2.0) * ops.erfinv(counter_uniform(keys, size, stream))
