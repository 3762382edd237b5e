"""A model as a LiteRT (TFLite) file, of built-in operators alone."""

import os
import tempfile
import warnings
from collections import Counter
from typing import Any

import numpy as np
import tensorflow as tf

from keras_rlr.export.portable_model import portable_model
from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.layers.loops import written_out_loops

# Between these, activations stay float32 even in int8: hidden scores of attention are
# -1e30, and sums of squares and their roots span decades.
_FLOAT_OPERATORS = [
    *("BATCH_MATMUL", "DIV", "GELU", "MAXIMUM", "MEAN", "MUL", "NEG", "REDUCE_MAX"),
    *("RSQRT", "SELECT_V2", "SOFTMAX", "SQRT", "SQUARE", "SQUARED_DIFFERENCE"),
    *("SUB", "SUM"),
]

_LAYERS_OF_8_BITS = ("/ffn", "/query", "/value", "/output", "/input_projection")


@written_out_loops()
def write_litert(model, path, quantize=None, representative_images=None):
    """Writes a `.tflite` file whose batch can be resized.

    Args:
        model: An `RLR` model on the TensorFlow backend.
        path: The file, ending in `.tflite`.
        quantize: None, "float16" (weights), "dynamic" (weights in 8 bits) or "int8"
            (weights and activations of the backbone, the feed-forward layers and
            the projections; input and output stay float32).
        representative_images: List of uint8 arrays (height, width, 3), for "int8".
    """
    portable = portable_model(model)
    options: dict[str, Any] = {
        "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    }
    if quantize in ("float16", "dynamic"):
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        options["target_spec"]["supported_types"] = [tf.float16]
    portable.export(str(path), format="litert", verbose=False, **options)
    if quantize == "int8":
        images = [
            to_resized_rgb(image, model.map_size, "an image")
            for image in representative_images
        ]
        content = _in_8_bits(portable, _float_tensors(path), images)
        path.write_bytes(content)


def _float_tensors(path):
    """Names of the tensors of a float32 file that int8 leaves as they are."""
    from ai_edge_litert.interpreter import Interpreter

    names = [tensor["name"] for tensor in Interpreter(str(path)).get_tensor_details()]
    return [name for name in names if name and not _bears_8_bits(name)]


def _bears_8_bits(name):
    of_backbone = "/feature_extractor" in name and "/aggregation" not in name
    return of_backbone or any(layer in name for layer in _LAYERS_OF_8_BITS)


def _in_8_bits(portable, float_tensors, images):
    """The content of an int8 file; Keras' exporter can't leave tensors out."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The quantizer counts with an interpreter that its own package deprecates.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
        portable.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        quantizer = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=converter.representative_dataset,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_ops=_FLOAT_OPERATORS, denylisted_nodes=float_tensors
            ),
        )
        return quantizer.get_nondebug_quantized_model()


def litert_runners(path):
    """Returns, by name, a function of float32 images that runs a `.tflite` file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    serve = interpreter.get_signature_runner()

    def run(images):
        return serve(image=np.ascontiguousarray(images))

    return {"litert": run}


def litert_operators(path):
    """Dict of the operators of a `.tflite` file and how often each occurs."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        model_path=str(path), experimental_op_resolver_type=_without_delegates()
    )
    return dict(Counter(entry["op_name"] for entry in interpreter._get_ops_details()))


def _without_delegates():
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
