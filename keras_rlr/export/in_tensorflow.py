"""Exports from JAX and PyTorch: a child process on TensorFlow writes them."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_rlr.detectors.weights_version import weights_version
from keras_rlr.keras_import import OWN_PROCESS

_ERRORS = {
    error.__name__: error
    for error in (FloatingPointError, ImportError, RuntimeError, ValueError)
}


def write_in_tensorflow(model, folder, images, request):
    """Does what `write_export` does, in a process with the TensorFlow backend.

    Args:
        model: An `RLR` model on any backend.
        folder: The empty folder to write to.
        images: List of uint8 arrays (height, width, 3).
        request: Dict of the other arguments of `write_export`.

    Returns:
        The manifest.

    Raises:
        ValueError: What `write_export` raises.
        ImportError: If TensorFlow or a package of the format is missing.
        FloatingPointError: If the model's scores are not finite numbers.
        RuntimeError: If the process fails otherwise; its last words are quoted.
    """
    from keras_rlr.detectors.save_model import save_without_optimizer

    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "Every format is written by TensorFlow, in a process of its own, and it is "
            'not installed. Install it beside this backend: pip install "keras-rlr'
            '[export]".'
        )
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        save_without_optimizer(model, work / "model.keras")
        np.savez(work / "images.npz", *images)
        version = weights_version(model)
        request = {**request, "folder": str(Path(folder).resolve()), "version": version}
        (work / "request.json").write_text(json.dumps(request), encoding="utf-8")
        child = subprocess.run(
            [sys.executable, "-m", "keras_rlr.export.in_tensorflow", name],
            env={
                **os.environ,
                "KERAS_BACKEND": "tensorflow",
                OWN_PROCESS: "1",
                # This process may have all of its memory already.
                "CUDA_VISIBLE_DEVICES": "-1",
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        answer = work / "answer.json"
        if not answer.is_file():
            raise RuntimeError(
                "The process that exports on TensorFlow ended with code "
                f"{child.returncode}. Its last words:\n{child.stderr[-1500:]}"
            )
        found = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in found:
        raise _ERRORS[found["error"]](found["message"])
    return found["manifest"]


def main(work):
    """Reads the request in a folder, and leaves the answer there."""
    from keras_rlr.detectors.loading import load_model
    from keras_rlr.export.write_export import write_export

    request = json.loads((work / "request.json").read_text(encoding="utf-8"))
    folder = Path(request.pop("folder"))
    with np.load(work / "images.npz", allow_pickle=False) as file:
        images = [file[f"arr_{i}"] for i in range(len(file.files))]
    try:
        model = load_model(work / "model.keras")
        # The file is all that the export is compared with.
        if weights_version(model) != request.pop("version"):
            raise ValueError(
                "Saved, and loaded on TensorFlow, the model has other weights than "
                "here, so nothing was written. That is a fault of keras_rlr or of "
                "Keras: please report it, with what `keras-rlr info` prints."
            )
        answer = {"manifest": write_export(model, folder, images, **request)}
    except (FloatingPointError, ImportError, ValueError) as error:
        (kind,) = (name for name in _ERRORS if isinstance(error, _ERRORS[name]))
        answer = {"error": kind, "message": str(error)}
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        answer = {"error": "RuntimeError", "message": message}
    (work / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
