"""Backbones as configurations, without weights."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_rlr.backbones.backbone import Backbone
from keras_rlr.backbones.checks import check_rebuilt
from keras_rlr.backbones.create_backbone import create_backbone, default_policy
from keras_rlr.backbones.keras_hub import import_keras_hub
from keras_rlr.backbones.levels import Level
from keras_rlr.backbones.safe_loading import (
    refuse_outside_backbone,
    refuse_outside_names,
)
from keras_rlr.backbones.vision_transformer.create_vision_transformer import (
    create_from_settings,
)
from keras_rlr.backbones.vision_transformer.settings import ViTSettings
from keras_rlr.image_size import ImageSize


def serialize_backbone(backbone: Backbone) -> dict[str, Any]:
    """Describes a backbone as JSON can hold it.

    Args:
        backbone: the backbone.

    Returns:
        For the EfficientNets, the name. For a vision transformer its architecture,
        and for others the model's own Keras configuration, with mean and standard
        deviation. No weights.

    Example:

    ```python
    from keras_rlr.backbones import create_backbone, serialize_backbone

    backbone = create_backbone("efficientnet_lite2", levels=(3,), image_size=64)
    serialize_backbone(backbone)
    # {'origin': 'catalogue', 'name': 'efficientnet_lite2'}
    ```
    """
    if backbone.origin == "catalogue":
        return {"origin": backbone.origin, "name": backbone.name}
    config = {
        "origin": backbone.origin,
        "name": backbone.name,
        "mean": list(backbone.mean),
        "std": list(backbone.std),
    }
    if backbone.has_blocks:
        return {**config, "settings": backbone.settings}
    return {**config, "model": keras.saving.serialize_keras_object(backbone.model)}


def deserialize_backbone(
    config: dict[str, Any],
    *,
    levels: Sequence[Level],
    image_size: ImageSize,
    dtype: str | keras.DTypePolicy | None = None,
) -> Backbone:
    """Builds a backbone from its description; its weights are still to be loaded.

    Nothing is downloaded, no other file is read and no code of the description's
    is executed: a model is read in Keras' safe mode, and must not name an address
    or anything of Keras that is no part of a network.

    Args:
        config: what `serialize_backbone` returned.
        levels: the levels the backbone was created with.
        image_size: the image size it was created with.
        dtype: the dtype policy it was created with.

    Returns:
        The backbone.

    Raises:
        ImportError: if it came from keras-hub, which isn't installed.
        ValueError: if the description holds something that safe mode refuses, or
            reaches out.
    """
    if config["origin"] == "catalogue":
        refuse_outside_backbone(config["name"], weights=None)
        return create_backbone(
            config["name"],
            levels=levels,
            image_size=image_size,
            weights=None,
            dtype=dtype,
        )
    if config["origin"] == "vision_transformer":
        with default_policy(dtype):
            result = create_from_settings(
                ViTSettings(**config["settings"]),
                name=config["name"],
                levels=levels,
                image_size=image_size,
                normalization=(tuple(config["mean"]), tuple(config["std"])),
            )
        result.model.trainable = False
        return result
    refuse_outside_names(config["model"])
    if config["origin"] == "keras_hub":
        # Its layers register themselves when it is imported.
        import_keras_hub(f"Loading the backbone '{config['name']}'")
    model = keras.saving.deserialize_keras_object(config["model"], safe_mode=True)
    model.trainable = False
    check_rebuilt(model.input_shape, model.outputs, levels, image_size)
    return Backbone(
        config["name"],
        model,
        tuple(config["mean"]),
        tuple(config["std"]),
        config["origin"],
        tuple(levels),
    )
