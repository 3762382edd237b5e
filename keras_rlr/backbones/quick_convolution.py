"""Convolutions of backbones, by what each backend is quick at.

For a convolution of maps with their channels last, Keras has PyTorch copy the maps
twice, which takes half the time of a network. XLA's depthwise convolution on a CPU
takes ten times as long as the products and sums that it stands for.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rlr")
class _QuickConv2D(keras.layers.Conv2D):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return convolve(inputs, kernel, self.strides, self.padding)


@keras.saving.register_keras_serializable(package="keras_rlr")
class _QuickDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    def call(self, inputs: Any) -> Any:
        outputs = convolve(inputs, self.kernel, self.strides, self.padding, True)
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)


# By the names of their layers' classes Keras orders the weights in a file, which is to
# be the same for every backend.
_QuickConv2D.__name__ = "Conv2D"
_QuickDepthwiseConv2D.__name__ = "DepthwiseConv2D"
_QUICK = {
    keras.layers.Conv2D: _QuickConv2D,
    keras.layers.DepthwiseConv2D: _QuickDepthwiseConv2D,
}


def use_quick_convolutions(model: keras.Model) -> None:
    """Has `convolve` compute the convolutions of a model, where it knows how.

    The layers stay what they are, with their names and weights: they are of a class
    derived from Keras'. Nothing changes on TensorFlow, which needs no help.

    Args:
        model: A model that is built by this package, and described by its name alone
            where it is saved. Another's layers are not to change their class.
    """
    if keras.backend.backend() == "tensorflow":
        return
    for layer in model.layers:
        if type(layer) in _QUICK and _is_plain(layer):
            layer.__class__ = _QUICK[type(layer)]


def _is_plain(layer: Any) -> bool:
    return (
        layer.data_format == "channels_last"
        and set(layer.dilation_rate) == {1}
        and getattr(layer, "groups", 1) == 1
        and getattr(layer, "depth_multiplier", 1) == 1
        and layer.padding in ("same", "valid")
    )


def convolve(
    inputs: Any, kernel: Any, strides: Any, padding: str, depthwise: bool = False
) -> Any:
    """`keras.ops.conv` or `keras.ops.depthwise_conv` of maps with channels last.

    Args:
        inputs: Tensor (batch, height, width, C).
        kernel: Tensor (rows, columns, C, C'), or (rows, columns, C, 1) of a depthwise
            convolution.
        strides: Two integers.
        padding: "same" or "valid".
        depthwise: Whether each channel has its own kernel.

    Returns:
        Tensor (batch, H, W, C'), of a depthwise convolution (batch, H, W, C).
    """
    if keras.backend.backend() == "torch":
        return _by_torch(inputs, kernel, strides, padding, depthwise)
    if depthwise and _is_on_xlas_cpu():
        return _by_shifts(inputs, kernel, strides, padding)
    portable = ops.depthwise_conv if depthwise else ops.conv
    return portable(inputs, kernel, strides, padding, data_format="channels_last")


def _is_on_xlas_cpu():
    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() == "cpu"


def _padding(inputs, kernel, strides, padding):
    """What is added before and after each of the two axes."""
    if padding == "valid":
        return ((0, 0), (0, 0))
    added = []
    for size, reach, stride in zip(
        inputs.shape[1:3], kernel.shape[:2], strides, strict=True
    ):
        both = max((-(-size // stride) - 1) * stride + reach - size, 0)
        added.append((both // 2, both - both // 2))
    return tuple(added)


def _by_torch(inputs, kernel, strides, padding, depthwise):
    import torch

    inputs, kernel = map(ops.convert_to_tensor, (inputs, kernel))
    if tuple(kernel.shape[:2]) == tuple(strides) == (1, 1) and not depthwise:
        return torch.matmul(inputs, kernel[0, 0])
    (above, below), (left, right) = _padding(inputs, kernel, strides, padding)
    is_even = (above, left) == (below, right)
    # Of a view with channels first PyTorch knows that they lie last.
    maps = torch.permute(inputs, (0, 3, 1, 2))
    if not is_even:
        maps = torch.nn.functional.pad(maps, (left, right, above, below))
    weights = torch.permute(kernel, (2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    convolved = torch.nn.functional.conv2d(
        maps,
        weights,
        stride=tuple(strides),
        padding=(above, left) if is_even else 0,
        groups=inputs.shape[-1] if depthwise else 1,
    )
    return torch.permute(convolved, (0, 2, 3, 1))


def _by_shifts(inputs, kernel, strides, padding):
    """The sum over a kernel's places of its values times the maps, shifted there."""
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    if dtype in ("bfloat16", "float16"):
        # So many sums would lose digits that a convolution keeps.
        inputs, kernel = (ops.cast(x, "float32") for x in (inputs, kernel))
    added = _padding(inputs, kernel, strides, padding)
    maps = ops.pad(inputs, ((0, 0), *added, (0, 0)))
    rows, columns = kernel.shape[:2]
    height, width = (
        (side - reach) // stride + 1
        for side, reach, stride in zip(
            maps.shape[1:3], (rows, columns), strides, strict=True
        )
    )
    total = None
    for row in range(rows):
        for column in range(columns):
            shifted = maps[
                :,
                row : row + (height - 1) * strides[0] + 1 : strides[0],
                column : column + (width - 1) * strides[1] + 1 : strides[1],
            ]
            product = shifted * kernel[row, column, :, 0]
            total = product if total is None else total + product
    return ops.cast(total, dtype)
