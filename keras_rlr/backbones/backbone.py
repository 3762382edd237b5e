"""What the rest of the package knows of a backbone."""

from dataclasses import dataclass
from typing import Any, Literal

import keras

IMAGENET_MEAN = (255 * 0.485, 255 * 0.456, 255 * 0.406)
IMAGENET_STD = (255 * 0.229, 255 * 0.224, 255 * 0.225)


@dataclass(frozen=True)
class Backbone:
    """A frozen network, cut at the last feature map that is needed.

    Args:
        name: `"efficientnet_b6"`, a keras-hub preset, or the user model's name.
        model: takes float (B, S, S, 3) images, normalised, and returns a list
            of (B, H, W, C) feature maps, fine to coarse; of one level, the map
            without a list, as Keras models do. Call it with `training=False`.
        mean: three values; the model receives `(x - mean) / std`, where x is
            float32 RGB in 0..255.
        std: three values.
        origin: where the model came from: `"catalogue"` for the names this
            package knows, `"keras_hub"`, `"user"` or `"vision_transformer"`. It
            decides how the backbone is serialized.
        levels: the levels that the maps are of.
        settings: of a vision transformer its architecture, fit for JSON.

    Example:

    ```python
    from keras_rlr.backbones import create_backbone

    backbone = create_backbone(
        "efficientnet_lite2", levels=(2, 3), image_size=256, weights=None
    )
    [tuple(output.shape) for output in backbone.model.outputs]
    # [(None, 32, 32, 48), (None, 16, 16, 120)]
    ```
    """

    name: str
    model: keras.Model
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    origin: Literal["catalogue", "keras_hub", "user", "vision_transformer"] = (
        "catalogue"
    )
    levels: tuple[int | tuple[int, ...], ...] = ()
    settings: dict[str, Any] | None = None

    @property
    def has_blocks(self) -> bool:
        """Whether levels are blocks of a transformer, all of one grid."""
        return self.origin == "vision_transformer"
