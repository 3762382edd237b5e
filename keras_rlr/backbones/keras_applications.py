"""EfficientNet B0 to B7 as `keras.applications` has them."""

import re
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_rlr.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from keras_rlr.backbones.cut_model import cut_model
from keras_rlr.backbones.weights_file import load_weights_file
from keras_rlr.image_size import ImageSize, height_and_width

# The last blocks at strides 4, 8 and 16.
_STAGES = {1: 2, 2: 3, 3: 5}
_SMALLEST_IMAGE = 32


def _download(build, name: str, image_size: ImageSize) -> keras.Model:
    try:
        return build(
            include_top=False,
            weights="imagenet",
            input_shape=(*height_and_width(image_size), 3),
        )
    # keras.utils.get_file raises a bare Exception when the network fails.
    except Exception as error:
        raise ConnectionError(
            f"The ImageNet weights of '{name}' could not be downloaded ({error}). "
            "Either give the path of Keras' file without the classification top "
            f"({name.replace('_', '')}_notop.h5) as "
            "backbone_weights=PATH, or run once on a machine with a network and "
            "keep its Keras cache (KERAS_HOME, by default ~/.keras). The backbone "
            "'efficientnet_lite2' ships with this package and needs no network."
        ) from error


def create_keras_applications(
    name: str,
    *,
    levels: Sequence[int],
    image_size: ImageSize,
    weights: str | Path | None,
) -> Backbone:
    """Builds one of `keras.applications`' EfficientNets without its end.

    The model starts after the rescaling and normalization that
    `keras.applications` puts in front, because these differ with the way the
    weights were loaded. So what the first convolution sees is always
    `(x / 255 - mean) / std`.

    Args:
        name: `"efficientnet_b0"` to `"efficientnet_b7"`.
        levels: strictly increasing, from 1, 2 and 3.
        image_size: side of a square or (height, width), multiples of the strides.
        weights: `"imagenet"` (downloaded on first use, with its checksum),
            `None` (random), or the path of a Keras file without the top.

    Returns:
        The backbone.

    Raises:
        ConnectionError: if the weights can't be downloaded.
        FileNotFoundError: if `weights` is a path and there is no file.
        ValueError: if the image is too small or the file doesn't fit.
    """
    if min(height_and_width(image_size)) < _SMALLEST_IMAGE:
        raise ValueError(
            f"image_size={image_size} is too small for the backbone '{name}'. Use "
            f"image_size={_SMALLEST_IMAGE} or more."
        )
    build = getattr(keras.applications, "EfficientNet" + name[-2:].upper())
    if weights == "imagenet":
        complete = _download(build, name, image_size)
    else:
        complete = build(
            include_top=False,
            weights=None,
            input_shape=(*height_and_width(image_size), 3),
        )
        if weights is not None:
            load_weights_file(complete, weights, name)
    outputs = []
    for level in levels:
        blocks = [
            layer
            for layer in complete.layers
            if re.fullmatch(rf"block{_STAGES[level]}[a-z]_add", layer.name)
        ]
        outputs.append(blocks[-1].output)
    model = cut_model(
        complete.get_layer("stem_conv_pad").input,
        outputs,
        image_size=image_size,
        name=name,
    )
    return Backbone(name, model, IMAGENET_MEAN, IMAGENET_STD)
