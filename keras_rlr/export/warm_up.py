"""Requests that TensorFlow Serving replays when it loads a model."""

import io

import numpy as np

from keras_rlr.export.sample_images import sample_images

FILE = "assets.extra/tf_serving_warmup_requests"


def write_warm_up(folder):
    """Writes one request for every signature of a SavedModel.

    Args:
        folder: The SavedModel.

    Returns:
        Whether it was written: tensorflow-serving-api has to be installed.
    """
    try:
        from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2
    except ImportError:
        return False
    import tensorflow as tf
    from PIL import Image

    image = sample_images(1, 256)[0]
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG")
    inputs = {
        "serving_default": ("image", image[None]),
        "serve_float": ("image", image[None].astype("float32")),
        "score_only": ("image", image[None]),
        "serve_bytes": ("image_bytes", np.array([file.getvalue()], object)),
        "info": ("request", np.array([b""], object)),
    }
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, (name, value) in inputs.items():
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name="rlr", signature_name=signature),
                inputs={name: tf.make_tensor_proto(value)},
            )
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
    return True
