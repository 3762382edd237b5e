"""The way from a name or a keras-hub model to a frozen vision transformer."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from keras_rlr.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from keras_rlr.backbones.checks import check_image_size
from keras_rlr.backbones.levels import Level
from keras_rlr.backbones.vision_transformer.build_vision_transformer import (
    blocks_of,
    build_vision_transformer,
)
from keras_rlr.backbones.vision_transformer.from_keras_hub import (
    copy_weights,
    keras_hub_backbone,
    settings_of,
)
from keras_rlr.backbones.vision_transformer.settings import (
    CATALOGUE,
    ViTSettings,
    default_taps,
)
from keras_rlr.backbones.weights_file import load_weights_file
from keras_rlr.image_size import ImageSize, height_and_width

Normalization = tuple[tuple[float, float, float], tuple[float, float, float]]


def create_by_name(
    name: str,
    *,
    levels: Sequence[Level] | None,
    image_size: ImageSize,
    weights: str | Path | None,
    keras_hub: Any,
) -> Backbone:
    """Builds a vision transformer of the catalogue from a file, or at random.

    Args:
        name: a name in `CATALOGUE`.
        levels: blocks and groups of blocks; None for `default_taps`.
        image_size: side of a square or (height, width), multiples of the patch.
        weights: None (random), or the path of a weights file of keras-hub's.
        keras_hub: a function that imports it, needed for a file alone.

    Returns:
        The backbone.

    Raises:
        FileNotFoundError: if `weights` is a path and there is no file.
        ImportError: if there is a path and keras-hub isn't installed.
        ValueError: if a level or the image size doesn't fit, or the file doesn't.
    """
    settings = CATALOGUE[name]
    levels = checked_levels(settings, levels, name)
    backbone = create_from_settings(
        settings, name=name, levels=levels, image_size=image_size
    )
    if weights is not None:
        hub = keras_hub_backbone(keras_hub(), settings)
        load_weights_file(hub, weights, name)
        grid = _grid(image_size, settings)
        copy_weights(hub, backbone.model, settings, grid)
    return backbone


def create_from_keras_hub(
    hub: keras.Model,
    *,
    name: str,
    levels: Sequence[Level] | None,
    image_size: ImageSize,
    normalization: Normalization = (IMAGENET_MEAN, IMAGENET_STD),
) -> Backbone:
    """Copies a keras-hub `DINOV2Backbone` or `DINOV3Backbone`, as far as it is needed.

    Args:
        hub: the backbone of keras-hub; it is left as it is.
        name: what to call it.
        levels: blocks and groups of blocks; None for `default_taps`.
        image_size: side of a square or (height, width), multiples of the patch.
        normalization: mean and standard deviation of what it sees.

    Returns:
        The backbone.

    Raises:
        ValueError: if a level or the image size doesn't fit.
    """
    settings = settings_of(hub)
    levels = checked_levels(settings, levels, name)
    backbone = create_from_settings(
        settings,
        name=name,
        levels=levels,
        image_size=image_size,
        normalization=normalization,
    )
    copy_weights(hub, backbone.model, settings, _grid(image_size, settings))
    return backbone


def create_from_settings(
    settings: ViTSettings,
    *,
    name: str,
    levels: Sequence[Level],
    image_size: ImageSize,
    normalization: Normalization = (IMAGENET_MEAN, IMAGENET_STD),
) -> Backbone:
    """Builds a vision transformer with random weights, without keras-hub.

    Args:
        settings: its architecture.
        name: what to call it.
        levels: blocks and groups of blocks.
        image_size: side of a square or (height, width), multiples of the patch.
        normalization: mean and standard deviation of what it sees.

    Returns:
        The backbone.

    Raises:
        ValueError: if a level or the image size doesn't fit.
    """
    levels = checked_levels(settings, levels, name)
    check_image_size(image_size, [settings.patch_size], name)
    model = build_vision_transformer(
        settings, levels=levels, grid=_grid(image_size, settings), name=name
    )
    mean, std = normalization
    return Backbone(
        name,
        model,
        mean,
        std,
        origin="vision_transformer",
        levels=levels,
        settings=asdict(settings),
    )


def checked_levels(
    settings: ViTSettings, levels: Sequence[Level] | None, name: str
) -> tuple[Level, ...]:
    """Returns the levels, or the default ones; refuses those that don't fit.

    Args:
        settings: the architecture.
        levels: blocks and groups of blocks, or None.
        name: the backbone's name, for the message.

    Raises:
        ValueError: if there is no such block, or they are unsorted or repeated.
    """
    if levels is None:
        return default_taps(settings.depth)
    has = f"'{name}' has the blocks 1 to {settings.depth}"
    groups = [blocks_of(level) for level in levels]
    if not groups or any(
        isinstance(block, bool) or not isinstance(block, int)
        for group in groups
        for block in group or (None,)
    ):
        raise ValueError(
            "levels must be numbers of blocks, or tuples of them whose mean is taken, "
            f"but they are {levels!r}. {has}."
        )
    for block in [block for group in groups for block in group]:
        if not 1 <= block <= settings.depth:
            raise ValueError(
                f"The backbone has no block {block}: {has}. Choose `levels` among them."
            )
    if groups != sorted(set(groups)) or any(
        list(group) != sorted(set(group)) for group in groups
    ):
        raise ValueError(
            "levels must be strictly increasing, and so must the blocks of a group, "
            f"but they are {tuple(levels)}."
        )
    return tuple(levels)


def _grid(image_size: ImageSize, settings: ViTSettings) -> tuple[int, int]:
    height, width = height_and_width(image_size)
    return height // settings.patch_size, width // settings.patch_size
