"""Frozen networks that turn normalised images into feature maps."""

from keras_rlr.backbones.backbone import Backbone
from keras_rlr.backbones.create_backbone import create_backbone
from keras_rlr.backbones.levels import level_name, level_text, resolve_levels
from keras_rlr.backbones.safe_loading import refuse_outside_config
from keras_rlr.backbones.serialization import (
    deserialize_backbone,
    serialize_backbone,
)

__all__ = [
    "Backbone",
    "create_backbone",
    "deserialize_backbone",
    "level_name",
    "level_text",
    "refuse_outside_config",
    "resolve_levels",
    "serialize_backbone",
]
