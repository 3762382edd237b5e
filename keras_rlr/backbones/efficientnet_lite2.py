"""EfficientNet-Lite2, whose ImageNet weights ship with this package."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import keras
from keras import layers

from keras_rlr.backbones.backbone import Backbone
from keras_rlr.backbones.weights_file import load_weights_file
from keras_rlr.image_size import ImageSize, height_and_width
from keras_rlr.layers.initializers import SeededNormal, derive_seed

WEIGHTS_PATH = Path(__file__).parent / "weights" / "efficientnet_lite2.weights.h5"
WEIGHTS_SHA256 = "01d9b57405e01a5b0e933630fc2a7c067b95031d2dce504c4a6ee614a5ed5dce"

# (repeats, kernel, stride of the first block, expansion, channels); width 1.1 and
# depth 1.2, of which the stem and the first stage's repeats are exempt.
_STAGES = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
)
_LAST_BLOCK_OF_LEVEL = {1: 3, 2: 6, 3: 14}


def _initializer(name: str, fan_in: int) -> SeededNormal:
    # NumPy's: JAX would compile a generator for every shape, half a minute in all.
    return SeededNormal(math.sqrt(2.0 / fan_in), derive_seed(0, name))


def _conv(x, width: int, kernel: int, stride: int, name: str):
    return layers.Conv2D(
        width,
        kernel,
        stride,
        padding="same",
        # Whatever keras.json says, as everywhere in this package.
        data_format="channels_last",
        use_bias=False,
        kernel_initializer=_initializer(name, x.shape[-1] * kernel**2),
        name=name,
    )(x)


def _normalized(x, name: str):
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _block(x, name: str, kernel: int, stride: int, expansion: int, channels: int):
    shortcut = x
    width = x.shape[-1] * expansion
    if expansion != 1:
        x = _conv(x, width, 1, 1, f"{name}_expand")
        x = layers.ReLU(6.0, name=f"{name}_expand_relu")(
            _normalized(x, f"{name}_expand_bn")
        )
    x = layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        data_format="channels_last",
        use_bias=False,
        depthwise_initializer=_initializer(f"{name}_depthwise", kernel**2),
        name=f"{name}_depthwise",
    )(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(
        _normalized(x, f"{name}_depthwise_bn")
    )
    x = _conv(x, channels, 1, 1, f"{name}_project")
    x = _normalized(x, f"{name}_project_bn")
    if stride == 1 and shortcut.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def build_efficientnet_lite2(
    image_size: ImageSize, levels: Sequence[int] = (1, 2, 3)
) -> keras.Model:
    """Builds EfficientNet-Lite2 up to the last of the levels.

    Lite models have no squeeze-and-excitation, and ReLU6 instead of swish.

    Args:
        image_size: side of a square or (height, width), multiples of the strides.
        levels: strictly increasing, from 1, 2 and 3.

    Returns:
        A model with random weights: (B, S, S, 3) images, normalised as
        `(x - 127) / 128`, to a list of maps, of 24, 48 and 120 channels at strides
        4, 8 and 16.

    Example:

    ```python
    from keras_rlr.backbones.efficientnet_lite2 import (
        build_efficientnet_lite2,
    )

    build_efficientnet_lite2(64).output_shape
    # [(None, 16, 16, 24), (None, 8, 8, 48), (None, 4, 4, 120)]
    ```

    Source: Liu, "Higher accuracy on vision models with EfficientNet-Lite"
    (TensorFlow blog, 2020).
    """
    image = keras.Input((*height_and_width(image_size), 3), name="image")
    x = _conv(image, 32, 3, 2, "stem")
    x = layers.ReLU(6.0, name="stem_relu")(_normalized(x, "stem_bn"))
    ends = [_LAST_BLOCK_OF_LEVEL[level] for level in levels]
    index = 0
    outputs = []
    for repeats, kernel, first_stride, expansion, channels in _STAGES:
        for repeat in range(repeats):
            if index > ends[-1]:
                break
            stride = first_stride if repeat == 0 else 1
            x = _block(x, f"block{index}", kernel, stride, expansion, channels)
            if index in ends:
                outputs.append(x)
            index += 1
    return keras.Model(image, outputs, name="efficientnet_lite2")


def create_efficientnet_lite2(
    *, levels: Sequence[int], image_size: ImageSize, weights: str | Path | None
) -> Backbone:
    """Builds the offline backbone, cut at the last level that is needed.

    Args:
        levels: strictly increasing, from 1, 2 and 3.
        image_size: side of a square or (height, width), multiples of the strides.
        weights: `"imagenet"` (the file in this package), `None` (random), or
            the path of a file of the same layout.

    Returns:
        The backbone.

    Raises:
        FileNotFoundError: if `weights` is a path and there is no file.
        ValueError: if the file doesn't fit, or if the one in the package is
            damaged.
    """
    model = build_efficientnet_lite2(image_size, levels)
    if weights == "imagenet":
        _check_shipped_file()
        # Keras reads layers in their order, of which those here are the first.
        load_weights_file(model, WEIGHTS_PATH, model.name)
    elif weights is not None:
        # Whether it is a file of this network shows in all of its layers.
        complete = build_efficientnet_lite2(image_size)
        load_weights_file(complete, weights, complete.name)
        for layer in model.layers:
            layer.set_weights(complete.get_layer(layer.name).get_weights())
    return Backbone(model.name, model, mean=(127.0,) * 3, std=(128.0,) * 3)


def _check_shipped_file() -> None:
    digest = (
        hashlib.sha256(WEIGHTS_PATH.read_bytes()).hexdigest()
        if WEIGHTS_PATH.is_file()
        else "no file"
    )
    if digest != WEIGHTS_SHA256:
        raise ValueError(
            f"The weights of efficientnet_lite2 at '{WEIGHTS_PATH}' are damaged or "
            f"missing: expected the sha256 {WEIGHTS_SHA256}, found {digest}. Install "
            "keras_rlr again."
        )
