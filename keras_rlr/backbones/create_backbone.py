"""The one way to a backbone."""

import contextlib
import dataclasses
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras

from keras_rlr.backbones.backbone import Backbone
from keras_rlr.backbones.catalogue import CHANNELS, STRIDES
from keras_rlr.backbones.checks import check_image_size, check_levels
from keras_rlr.backbones.efficientnet_lite2 import create_efficientnet_lite2
from keras_rlr.backbones.keras_applications import create_keras_applications
from keras_rlr.backbones.keras_hub import (
    create_keras_hub,
    import_keras_hub,
    is_preset_location,
)
from keras_rlr.backbones.levels import Level
from keras_rlr.backbones.safe_loading import refuse_outside_backbone_while_loading
from keras_rlr.backbones.user_model import create_user_model
from keras_rlr.backbones.vision_transformer.create_vision_transformer import (
    create_by_name,
    create_from_keras_hub,
)
from keras_rlr.backbones.vision_transformer.from_keras_hub import is_vision_transformer
from keras_rlr.backbones.vision_transformer.settings import CATALOGUE
from keras_rlr.image_size import ImageSize

NAMES = (*CHANNELS, *CATALOGUE)


def create_backbone(
    backbone: str | keras.Model,
    *,
    levels: Sequence[Level] | None = None,
    image_size: ImageSize,
    weights: str | Path | None = "imagenet",
    dtype: str | keras.DTypePolicy | None = None,
    pyramid_levels: Sequence[int] = (1, 2, 3),
) -> Backbone:
    """Builds a frozen backbone that computes no more than the given levels.

    Args:
        backbone: `"efficientnet_b0"` to `"efficientnet_b7"`,
            `"efficientnet_lite2"`, a vision transformer (`"dinov2_small"`,
            `"dinov2_with_registers_base"`, `"dinov3_vit_small_lvd1689m"`, …), a
            keras-hub preset (name, folder or address) of a feature pyramid, of
            DINOv2 or of DINOv3, a keras-hub `DINOV2Backbone` or `DINOV3Backbone`, or
            a Keras model that takes float32 RGB images in 0..255 and returns a list
            of (B, H, W, C) maps.
        levels: strictly increasing, 1-based. Level j has stride 2^(j + 1); for a
            Keras model it is the j-th output, for a vision transformer the j-th
            block, and a tuple of blocks is the mean of their tokens. None for
            `pyramid_levels`, or for eight blocks of a transformer in two groups.
        image_size: side of a square or (height, width), multiples of the strides, or
            of the side of a patch (14 of DINOv2, 16 of DINOv3).
        weights: `"imagenet"` (the pretrained ones, of a vision transformer too),
            `None` (random; nothing is downloaded), or the path of a weights file of
            the complete network. A Keras model has its own weights: give
            `"imagenet"` or `None`, both leave them alone.
        dtype: dtype policy of a backbone that is built by its name; `None` for
            Keras' own. A Keras model keeps its own.
        pyramid_levels: the levels of what is no vision transformer where `levels`
            is None.

    Returns:
        The backbone. Its model is not trainable and takes (B, S, S, 3).

    Raises:
        ConnectionError: if ImageNet weights can't be downloaded.
        FileNotFoundError: if `weights` is a path and there is no file.
        ImportError: if a keras-hub preset is wanted without keras-hub.
        ValueError: for an unknown name, level or image size, or a wrong file;
            while a model file is loaded in safe mode, for all that would have to be
            downloaded or read from another file.
        TypeError: if `backbone` is neither a name nor a Keras model.

    Example:

    ```python
    import numpy as np
    from keras_rlr.backbones import create_backbone

    backbone = create_backbone("efficientnet_lite2", levels=(2, 3), image_size=64)
    images = (np.zeros((1, 64, 64, 3), "float32") - backbone.mean) / backbone.std
    backbone.model(images.astype("float32"), training=False)[1].shape  # 1, 4, 4, 120
    ```
    """
    levels = None if levels is None else tuple(levels)
    of_pyramid = tuple(pyramid_levels) if levels is None else levels
    if isinstance(backbone, keras.Model):
        if weights not in ("imagenet", None):
            raise ValueError(
                f"backbone_weights={str(weights)!r} was given with a Keras model as "
                f"backbone ('{backbone.name}'), which has weights of its own. Call "
                "its load_weights() first and leave backbone_weights out."
            )
        if is_vision_transformer(backbone):
            with default_policy(dtype):
                result = create_from_keras_hub(
                    backbone, name=backbone.name, levels=levels, image_size=image_size
                )
        else:
            result = create_user_model(
                backbone, levels=of_pyramid, image_size=image_size
            )
    elif not isinstance(backbone, str | Path):
        raise TypeError(
            "backbone must be the name of a backbone or a Keras model that returns "
            f"a list of feature maps, but it is {backbone!r}."
        )
    else:
        refuse_outside_backbone_while_loading(str(backbone), weights)
        with default_policy(dtype), _channels_last():
            result = _create_named(
                str(backbone), levels, of_pyramid, image_size, weights
            )
    result.model.trainable = False
    if not result.has_blocks:
        result = dataclasses.replace(result, levels=of_pyramid)
    return result


@contextlib.contextmanager
def default_policy(dtype: str | keras.DTypePolicy | None) -> Iterator[None]:
    """Has layers built inside take a policy; not all builders can be told one.

    Args:
        dtype: the policy, or None for the one that rules already.
    """
    before = keras.config.dtype_policy()
    if dtype is not None:
        keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def _channels_last() -> Iterator[None]:
    """Has Keras' and keras-hub's builders make such networks, whatever keras.json says.

    Layers keep the format that they are built in.
    """
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def _create_named(
    name: str,
    levels: tuple[Level, ...] | None,
    pyramid_levels: tuple[Level, ...],
    image_size: ImageSize,
    weights: str | Path | None,
) -> Backbone:
    if name in CATALOGUE and weights != "imagenet":
        return create_by_name(
            name,
            levels=levels,
            image_size=image_size,
            weights=weights,
            keras_hub=lambda: import_keras_hub(f"A weights file of '{name}'"),
        )
    if name not in CHANNELS:
        _check_preset(name)
        return create_keras_hub(
            name,
            levels=levels,
            pyramid_levels=pyramid_levels,
            image_size=image_size,
            weights=weights,
        )
    numbers = check_levels(pyramid_levels, name, range(1, len(STRIDES) + 1))
    check_image_size(image_size, [STRIDES[level - 1] for level in numbers], name)
    if name == "efficientnet_lite2":
        return create_efficientnet_lite2(
            levels=numbers, image_size=image_size, weights=weights
        )
    return create_keras_applications(
        name, levels=numbers, image_size=image_size, weights=weights
    )


def _check_preset(name: str) -> None:
    """Refuses a name that neither this package nor keras-hub knows."""
    if name in CATALOGUE or is_preset_location(name):
        return
    close = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.75)
    presets: list[str] = []
    # A slip in one of our own names must not cost keras-hub's import.
    if not close:
        keras_hub = import_keras_hub(
            f"The backbone '{name}' is none of {', '.join(NAMES)}; a preset"
        )
        presets = list(keras_hub.models.Backbone.presets)
        if name in presets:
            return
        close = difflib.get_close_matches(name, presets, n=3, cutoff=0.75)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ValueError(
        f"Unknown backbone '{name}'.{hint} Expected one of {', '.join(NAMES)}, a "
        "keras-hub feature-pyramid preset such as 'resnet_50_imagenet', a preset's "
        "folder, or a Keras model."
    )
