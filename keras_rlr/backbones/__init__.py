"""Frozen networks that turn normalised images into feature maps."""

from keras_rlr.backbones.backbone import Backbone
from keras_rlr.backbones.create_backbone import create_backbone
from keras_rlr.backbones.safe_loading import refuse_outside_config
from keras_rlr.backbones.serialization import (
    deserialize_backbone,
    serialize_backbone,
)

__all__ = [
    "Backbone",
    "create_backbone",
    "deserialize_backbone",
    "refuse_outside_config",
    "serialize_backbone",
]
