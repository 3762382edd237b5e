"""A model as OpenVINO's intermediate representation."""

from collections import Counter

from keras_rlr.export.portable_model import portable_model
from keras_rlr.layers.loops import written_out_loops


@written_out_loops()
def write_openvino(model, path):
    """Writes an `.xml` file, and a `.bin` of the weights beside it.

    Args:
        model: An `RLR` model on the TensorFlow backend.
        path: The file, ending in `.xml`.
    """
    portable_model(model).export(str(path), format="openvino", verbose=False)


def openvino_runners(path):
    """Returns, by name, a function of float32 images that runs an `.xml` file."""
    import openvino

    # Unasked, it computes in bfloat16 on processors that have it.
    compiled = openvino.Core().compile_model(
        str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    def run(images):
        outputs = compiled(images)
        return {name: outputs[name] for name in _names(compiled)}

    return {"openvino": run}


def _names(compiled):
    wanted = (
        *("anomaly_map", "anomaly_score", "is_anomalous"),
        *("category", "comparable_score"),
    )
    known = {name for output in compiled.outputs for name in output.get_names()}
    return [name for name in wanted if name in known]


def openvino_operators(path):
    """Dict of the operators of an `.xml` file and how often each occurs."""
    import openvino

    nodes = openvino.Core().read_model(str(path)).get_ops()
    return dict(Counter(node.get_type_name() for node in nodes))
