"""Vision transformers of three small blocks."""

import numpy as np

from keras_rlr.backbones.vision_transformer.create_vision_transformer import (
    create_from_settings,
)
from keras_rlr.backbones.vision_transformer.settings import ViTSettings

TINY = ViTSettings(
    patch_size=14,
    depth=3,
    width=16,
    num_heads=2,
    mlp_dim=32,
    num_registers=2,
    position_grid=4,
)


def randomize(model, seed=0):
    """Gives a model random weights that are the same on every backend."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        scale_like = any(part in weight.path for part in ("gamma", "lambda"))
        values = generator.normal(0.0, 0.2, weight.shape) + scale_like
        weight.assign(values.astype("float32"))


def tiny_transformer(levels=(1, (1, 2)), image_size=56):
    """A backbone of `TINY` with such weights."""
    backbone = create_from_settings(
        TINY, name="tiny", levels=levels, image_size=image_size
    )
    randomize(backbone.model)
    backbone.model.trainable = False
    return backbone
