"""The model as a graph of images of one size, for runtimes that know no others."""

import keras
import tensorflow as tf


def portable_model(model):
    """Returns a functional model of `image` (batch, height, width, 3), in 0-255.

    Args:
        model: An `RLR` model on the TensorFlow backend.

    Returns:
        A `keras.Model` whose outputs are a dict: "anomaly_map" (batch, height, width),
        "anomaly_score" (batch,) and, of a calibrated model, "is_anomalous" (batch,); of
        one that knows categories "category" and "comparable_score" (batch,) too.
    """
    shape = (*model.map_size, 3)
    complete = model.thresholds.graph_function()

    @tf.function(
        input_signature=[tf.TensorSpec((None, *shape), tf.float32)], autograph=False
    )
    def infer(image):
        batch = {"image": image}
        if model.known_categories:
            batch["describe"] = tf.zeros(tf.shape(image)[:1])
        return complete(model(batch))

    image = keras.Input(shape, dtype="float32", name="image")
    return keras.Model(image, _Graph(infer.get_concrete_function())(image))


class _Graph(keras.layers.Layer):
    """A graph as a layer: Keras' exporters call what they export up to five times.

    Each call would build the graph of the whole model anew, which takes seconds.
    """

    def __init__(self, graph):
        super().__init__(autocast=False)
        # In a function, because Keras would track and save the graph itself.
        self._call_graph = lambda image: graph(image)

    def call(self, image):
        return self._call_graph(image)
