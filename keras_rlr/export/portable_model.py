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
    complete = _Complete(model.thresholds.graph_function())
    return keras.Model(image, complete(model(batch)))


class _Complete(keras.layers.Layer):
    """A function as a layer: its constants are then the graph's, and no inputs."""

    def __init__(self, function):
        super().__init__(autocast=False)
        self._function = function

    def call(self, outputs):
        return self._function(outputs)
