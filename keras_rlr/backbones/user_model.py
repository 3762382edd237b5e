"""Any Keras model of the user's as a backbone."""

from collections.abc import Sequence

import keras

from keras_rlr.backbones.backbone import Backbone
from keras_rlr.backbones.checks import check_feature_maps, check_levels
from keras_rlr.backbones.levels import Level
from keras_rlr.image_size import ImageSize, height_and_width


def create_user_model(
    model: keras.Model, *, levels: Sequence[Level], image_size: ImageSize
) -> Backbone:
    """Wraps a user's model, which is frozen in place.

    Args:
        model: takes float32 RGB images (B, S, S, 3) in 0..255, resized but not
            normalised, and returns a list or tuple of maps (B, H, W, C).
        levels: 1-based positions in that list, strictly increasing.
        image_size: side of a square or (height, width), in pixels.

    Returns:
        The backbone, with mean 0 and standard deviation 1.

    Raises:
        ValueError: if the model doesn't return such a list, or if its strides
            don't divide `image_size`.

    Example:

    ```python
    import keras
    from keras_rlr.backbones import create_backbone

    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    fine = keras.layers.Conv2D(8, 3, strides=4, padding="same")(x)
    coarse = keras.layers.Conv2D(16, 3, strides=2, padding="same")(fine)
    mine = keras.Model(image, [fine, coarse], name="mine")
    create_backbone(mine, levels=(1, 2), image_size=64, weights=None)
    ```
    """
    height, width = height_and_width(image_size)
    image = keras.Input((height, width, 3), name="image")
    try:
        maps = model(image, training=False)
    # Whatever the user's own code raises belongs in one explained error.
    except Exception as error:
        raise ValueError(
            f"The backbone model '{model.name}' could not be called on images of "
            f"shape (batch, {height}, {width}, 3): {error} Expected a model "
            "of RGB images, channels last; set image_size to the size it was built "
            "for."
        ) from error
    if not isinstance(maps, list | tuple):
        kind = "a dict" if isinstance(maps, dict) else "a single tensor"
        raise ValueError(
            f"The backbone model '{model.name}' returns {kind}. Expected a list or "
            "tuple of feature maps (batch, height, width, channels), fine to "
            "coarse: build it as keras.Model(inputs, [map_1, map_2])."
        )
    numbers = check_levels(levels, model.name, range(1, len(maps) + 1))
    chosen = [maps[level - 1] for level in numbers]
    check_feature_maps(chosen, image_size, model.name)
    wrapper = keras.Model(image, chosen, name=f"{model.name}_backbone")
    return Backbone(model.name, wrapper, (0.0,) * 3, (1.0,) * 3, origin="user")
