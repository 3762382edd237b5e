"""What a layer is called with: tensors of another device, and whole numbers."""

from typing import Any

import keras
import numpy as np
from keras import ops

_READ_AS_THEY_ARE = ("bool", "uint8", "uint16")


class TakesImages(keras.layers.Layer):
    """A layer that takes images as they come, on PyTorch too.

    It scales uint16 arrays before Keras makes tensors of them: Keras makes int32 of
    them, and nobody could tell any more that they are not in 0-255. And it brings
    tensors to the device of Keras, as `keras.Model`s of `keras.Input`s do.
    """

    bit_depth: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras' method."""

        def taken(value: Any) -> Any:
            if isinstance(value, np.ndarray) and value.dtype == np.uint16:
                return in_8_bits(value.astype("float32"), self.bit_depth)
            return on_keras_device(value)

        args, kwargs = keras.tree.map_structure(taken, (args, kwargs))
        return super().__call__(*args, **kwargs)


def on_keras_device(value: Any) -> Any:
    """Returns PyTorch's tensors on the device of Keras' variables; others as they are.

    Args:
        value: Anything.
    """
    is_of_torch = keras.backend.backend() == "torch" and ops.is_tensor(value)
    return ops.convert_to_tensor(value) if is_of_torch else value


def in_8_bits(pixels: Any, bit_depth: int | None) -> Any:
    """Returns float32 pixels of uint16 images, brought to 0-255.

    Args:
        pixels: Array or tensor.
        bit_depth: Bits that a value has; None is 16.
    """
    return pixels * 255.0 / (2.0 ** (bit_depth or 16) - 1.0)


def refuse_outside_8_bits(images: Any) -> None:
    """Refuses images of other integers than uint8 and uint16 that are not in 0-255.

    Where values can't be read, as in a graph, nothing is said.

    Args:
        images: Tensor.

    Raises:
        ValueError: If a value is outside.
    """
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "int" not in dtype or dtype in _READ_AS_THEY_ARE:
        return
    lowest, highest = _extent(images)
    if lowest < 0 or highest > 255:
        raise ValueError(
            f"Received images of {dtype} with the value "
            f"{lowest if lowest < 0 else highest}, outside of 0-255. Keras makes int32 "
            "of uint16 tensors on PyTorch: give the model the NumPy array of uint16, "
            "or torch.tensor(array), and others in 0-255."
        )


def _extent(images: Any) -> tuple[int, int]:
    """Lowest and highest value, alpha apart; (0, 0) where they can't be read."""
    if keras.backend.is_keras_tensor(images) or 0 in tuple(images.shape):
        return 0, 0
    if keras.backend.backend() == "torch":
        import torch

        # Reading a value would break a graph that is being made.
        if torch.compiler.is_compiling():
            return 0, 0
    colours = images[..., :3] if images.shape[-1] == 4 else images
    try:
        extremes = [ops.convert_to_numpy(f(colours)) for f in (ops.min, ops.max)]
    # Each backend has errors of its own for what is being traced.
    except Exception:
        return 0, 0
    return int(extremes[0]), int(extremes[1])
