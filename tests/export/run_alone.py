"""Runs an export in a process that has its runtime and nothing of this package."""

import subprocess
import sys

import numpy as np

from tests.fresh_process import run_fresh

# What a user writes who has the runtime alone.
RUNNERS = {
    "saved_model": """
import tensorflow as tf
serve = tf.saved_model.load(path).signatures["serve_float"]
run = lambda x: {k: v.numpy() for k, v in serve(image=tf.constant(x)).items()}
""",
    "serve_bytes": """
import tensorflow as tf
serve = tf.saved_model.load(path).signatures["serve_bytes"]
run = lambda x: {k: v.numpy() for k, v in serve(tf.constant([x.tobytes()])).items()}
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
serve = Interpreter(model_path=path).get_signature_runner()
run = lambda x: serve(image=x)
""",
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(path)
names = [output.name for output in session.get_outputs()]
run = lambda x: dict(zip(names, session.run(None, {"image": x})))
""",
    "openvino": """
import openvino
options = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.Core().compile_model(path, "CPU", options)
kinds = ("anomaly_map", "anomaly_score", "is_anomalous", "category", "comparable_score")
names = [k for k in kinds if any(k in o.get_names() for o in model.outputs)]
run = lambda x: (lambda found: {name: found[name] for name in names})(model(x))
""",
}
ALONE = """
import sys
import numpy as np
path, inputs, outputs = sys.argv[1:]
{runner}
with np.load(inputs) as batches:
    found = [run(batches[name]) for name in batches.files]
np.savez(outputs, **{{k: np.concatenate([f[k] for f in found]) for k in found[0]}})
forbidden = {forbidden}
assert not forbidden & set(sys.modules), forbidden & set(sys.modules)
"""


def run_alone(format, path, batches, folder):
    """Outputs of an export, from a fresh process.

    Args:
        format: One of `RUNNERS`; "saved_model" runs the signature `serve_float`.
        path: What was exported.
        batches: List of float32 arrays (batch, height, width, 3), run one after the
            other; for "serve_bytes", of uint8 arrays, the bytes of a file each.
        folder: Where inputs and outputs are put.

    Returns:
        Dict of arrays, of all batches together.
    """
    forbidden = {"keras_rlr", "torch"}
    if format not in ("saved_model", "serve_bytes"):
        forbidden |= {"tensorflow", "keras"}
    code = ALONE.format(runner=RUNNERS[format], forbidden=forbidden)
    np.savez(folder / "inputs.npz", **{f"{i:05}": b for i, b in enumerate(batches)})
    command = [path, folder / "inputs.npz", folder / "outputs.npz"]
    if "tensorflow" in forbidden:
        subprocess.run([sys.executable, "-c", code, *command], check=True, cwd=folder)
    else:
        # TensorFlow imports Keras, and Keras its backend.
        options = {"backend": "tensorflow", "package": "tensorflow", "folder": folder}
        done = run_fresh(code, *command, **options)
        assert done.returncode == 0, done.stderr
    with np.load(folder / "outputs.npz") as outputs:
        return {name: outputs[name] for name in outputs.files}


def assert_same(found, expected, tolerance=1e-4):
    """Two outputs, of an export and of its model, agree."""
    assert set(found) == set(expected)
    scale = np.abs(expected["anomaly_map"]).max()
    difference = np.abs(found["anomaly_map"] - expected["anomaly_map"]).max()
    assert difference <= tolerance * scale
    np.testing.assert_allclose(
        found["anomaly_score"], expected["anomaly_score"], rtol=tolerance
    )
    np.testing.assert_array_equal(found["is_anomalous"], expected["is_anomalous"])
    if "category" in expected:
        np.testing.assert_array_equal(found["category"], expected["category"])
        # The difference of two numbers that agree; of nothing known, it may be large.
        np.testing.assert_allclose(
            found["comparable_score"],
            expected["comparable_score"],
            rtol=30 * tolerance,
            atol=30 * tolerance,
        )
