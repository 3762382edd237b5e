"""A model as a TensorFlow SavedModel, for TensorFlow Serving."""

import collections

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_rlr.export.serving_functions import serving_functions


def write_saved_model(model, path, description):
    """Writes a SavedModel with all of `serving_functions`.

    Args:
        model: An `RLR` model on the TensorFlow backend.
        path: The folder to write.
        description: See `serving_functions`.
    """
    # Of a model it tracks, the archive writes every weight twice: as Keras' variable,
    # and as TensorFlow's. Untracked, those that the functions use are written.
    archive = keras.export.ExportArchive()
    functions = serving_functions(model, description)
    for name, (function, *signature) in functions.items():
        archive.add_endpoint(name, function, input_signature=signature)
    archive.write_out(str(path), verbose=False)


def saved_model_runners(path):
    """Returns functions that run signatures of a SavedModel on an image.

    Args:
        path: The folder.

    Returns:
        Dict of signature to a function from a uint8 array (height, width, 3) to a
        dict of arrays of a batch of one.
    """
    loaded = tf.saved_model.load(str(path))

    def default(image):
        return _run(loaded, "serving_default", image=tf.constant(image[None]))

    def from_bytes(image):
        encoded = tf.io.encode_png(image)[None]
        return _run(loaded, "serve_bytes", image_bytes=encoded)

    return {"serving_default": default, "serve_bytes": from_bytes}


def _run(loaded, signature, **inputs):
    outputs = loaded.signatures[signature](**inputs)
    return {name: value.numpy() for name, value in outputs.items()}


def saved_model_operators(path):
    """Dict of the operators of all signatures and how often each occurs."""
    file = saved_model_pb2.SavedModel()
    file.ParseFromString((path / "saved_model.pb").read_bytes())
    graph = file.meta_graphs[0].graph_def
    counts = collections.Counter(node.op for node in graph.node)
    for function in graph.library.function:
        counts.update(node.op for node in function.node_def)
    return dict(counts)
