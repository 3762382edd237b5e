"""Frozen networks that turn normalised images into feature maps."""

from keras_rlr.models.backbones.backbone import Backbone
from keras_rlr.models.backbones.create_backbone import create_backbone
from keras_rlr.models.backbones.serialization import (
    deserialize_backbone,
    serialize_backbone,
)

__all__ = [
    "Backbone",
    "create_backbone",
    "deserialize_backbone",
    "serialize_backbone",
]
