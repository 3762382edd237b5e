"""A model as an ONNX file."""

from collections import Counter

import numpy as np

from keras_rlr.export.portable_model import portable_model
from keras_rlr.layers.loops import written_out_loops


@written_out_loops()
def write_onnx(model, path):
    """Writes an `.onnx` file with a dynamic batch.

    Args:
        model: An `RLR` model on the TensorFlow backend.
        path: The file, ending in `.onnx`.
    """
    _teach_erfc()
    portable = portable_model(model)
    # Keras exports what was called at least once.
    portable(np.zeros((1, *model.map_size, 3), "float32"))
    portable.export(str(path), format="onnx", verbose=False)


def _teach_erfc():
    """Has tf2onnx write TensorFlow's GELU, which it knows by erf and not by erfc."""
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, ctx, node, **kwargs):
            one = ctx.make_const(f"{node.name}_one", np.array(1, "float32"))
            erf = ctx.make_node("Erf", node.input)
            name, outputs = node.name, node.output
            shapes = [ctx.get_shape(output) for output in outputs]
            dtypes = [ctx.get_dtype(output) for output in outputs]
            ctx.remove_node(name)
            ctx.make_node(
                "Sub",
                [one.output[0], erf.output[0]],
                outputs=outputs,
                name=name,
                shapes=shapes,
                dtypes=dtypes,
            )


def onnx_runners(path):
    """Returns, by name, a function of float32 images that runs an `.onnx` file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def run(images):
        return dict(zip(names, session.run(None, {"image": images}), strict=True))

    return {"onnx": run}


def onnx_operators(path):
    """Dict of the operators of an `.onnx` file and how often each occurs."""
    import onnx

    return dict(Counter(node.op_type for node in onnx.load(str(path)).graph.node))
