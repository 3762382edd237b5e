"""Cutting a functional model down to the part that is needed."""

from collections.abc import Sequence

import keras

from keras_rlr.image_size import ImageSize, height_and_width


def _copy_layer(layer: keras.Layer) -> keras.Layer:
    """Copies a layer without its weights; dropout becomes the identity."""
    if isinstance(layer, keras.layers.Dropout):
        return keras.layers.Identity(name=layer.name, dtype=layer.dtype_policy)
    config = layer.get_config()
    # Drawing random values that are replaced at once takes seconds.
    for name, value in config.items():
        if name.endswith("_initializer") and value is not None:
            config[name] = "zeros"
    return layer.__class__.from_config(config)


def cut_model(
    start: keras.KerasTensor,
    outputs: Sequence[keras.KerasTensor],
    *,
    image_size: ImageSize,
    name: str,
) -> keras.Model:
    """Copies the part of a functional model between two sets of tensors.

    The layers are new ones, so that nothing keeps the rest of the original
    alive: a layer that was shared would, through the graph it is part of.
    Dropout is left out, because the result is only ever used frozen.

    Args:
        start: the tensor that becomes the input, (B, H, W, 3).
        outputs: the tensors that become the outputs.
        image_size: static side of the new input, in pixels.
        name: name of the new model.

    Returns:
        A model of (B, H, W, 3) images with a list of outputs.

    Example:

    ```python
    import keras
    from keras_rlr.backbones.cut_model import cut_model

    image = keras.Input((None, None, 3))
    fine = keras.layers.Conv2D(4, 3, strides=4, padding="same")(image)
    coarse = keras.layers.Conv2D(8, 3, strides=2, padding="same")(fine)
    cut_model(image, [fine], image_size=32, name="cut").count_params()  # 112
    ```
    """
    part = keras.Model(start, list(outputs), name=name)
    structure = part.input
    image = keras.Input((*height_and_width(image_size), 3), name="image")
    copy = keras.models.clone_model(
        part,
        input_tensors=[image] if isinstance(structure, list) else image,
        clone_function=_copy_layer,
    )
    copy.set_weights(part.get_weights())
    return copy
