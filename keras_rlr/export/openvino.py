"""A model as OpenVINO's intermediate representation."""

import contextlib
import os
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
    with _telling_nobody():
        portable_model(model).export(str(path), format="openvino", verbose=False)


@contextlib.contextmanager
def _telling_nobody():
    """Has OpenVINO send nothing to those who count its uses.

    Unless it is told not to, it sends a hundred messages about each model it converts,
    and forks this process for every one of them. It asks nobody, but keeps still on
    machines that test, which it knows by this variable.
    """
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before


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
