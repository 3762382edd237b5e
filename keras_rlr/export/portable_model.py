"""The model as one graph of square images, for runtimes that know no other sizes."""

import keras
from keras import ops


def portable_model(model):
    """Returns a functional model of `image` (batch, S, S, 3), float32 in 0-255.

    Args:
        model: An `RLR` model.

    Returns:
        A `keras.Model` whose outputs are a dict: "anomaly_map" (batch, S, S),
        "anomaly_score" (batch,) and, of a calibrated model, "is_anomalous" (batch,).
    """
    size = model.image_size
    image = keras.Input((size, size, 3), dtype="float32", name="image")
    outputs = dict(model(image))
    if model.threshold is not None:
        score = outputs["anomaly_score"]
        # A score that is NaN is never normal. TensorFlow would make "greater or equal"
        # of "not less", which differ in this.
        outputs["is_anomalous"] = ops.logical_or(
            ops.greater_equal(score, model.threshold), ops.isnan(score)
        )
    return keras.Model(image, outputs)
