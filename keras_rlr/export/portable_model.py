"""The model as one graph of square images, for runtimes that know no other sizes."""

import keras
from keras import ops


def portable_model(model):
    """Returns a functional model of `image` (batch, S, S, 3), float32 in 0-255.

    Args:
        model: An `RLR` model.

    Returns:
        A `keras.Model` whose outputs are a dict: "anomaly_map" (batch, S, S),
        "anomaly_score" (batch,) and, of a calibrated model, "is_anomalous" (batch,); of
        one that knows categories "category" and "comparable_score" (batch,) too.
    """
    size = model.image_size
    image = keras.Input((size, size, 3), dtype="float32", name="image")
    batch = {"image": image}
    if model.known_categories:
        batch["describe"] = ops.zeros_like(image[:, 0, 0, 0])
    complete = model.thresholds.graph_function()
    return keras.Model(image, complete(model(batch)))
