"""Writes and compares an export; needs the TensorFlow backend."""

import importlib

import numpy as np

from keras_rlr.export.compare import TOLERANCES, compare
from keras_rlr.export.manifest import (
    describe_export,
    describe_files,
    manifest_text,
    weights_version,
)
from keras_rlr.inputs.images import to_square_rgb

_COMPARED = 8
_NEEDS = {
    "saved_model": ("tensorflow",),
    "litert": ("ai_edge_litert",),
    "onnx": ("tf2onnx", "onnxruntime"),
    "openvino": ("openvino",),
}


def write_export(model, folder, images, format, quantize, categories, evaluation):
    """Writes an export and its manifest into a folder, and compares.

    Args:
        model: An `RLR` model.
        folder: An empty folder.
        images: List of uint8 arrays (height, width, 3).
        format: See `export_model`, like the others.
        quantize: Kind of quantisation.
        categories: List of names.
        evaluation: Figures, or None.

    Returns:
        The manifest.

    Raises:
        ValueError: If the export does not agree with the model.
        ImportError: If a package is missing.
    """
    _check_packages(format)
    version = weights_version(model)
    manifest = describe_export(model, format, quantize, version, categories, evaluation)
    chosen = np.linspace(0, len(images) - 1, min(len(images), _COMPARED)).astype(int)
    compared = [images[i] for i in chosen]
    expected = model.predict(compared, verbose=0)
    square = [to_square_rgb(image, model.image_size, "an image") for image in images]
    runners, manifest["operators"] = _write(
        model.compact(), folder, format, quantize, square, manifest
    )
    takes = compared if format == "saved_model" else [square[i][None] for i in chosen]
    manifest["comparison"] = {}
    for name, run in runners.items():
        outputs = [run(image) for image in takes]
        found = {key: np.concatenate([o[key] for o in outputs]) for key in outputs[0]}
        result = compare(expected, found, model.threshold, TOLERANCES[quantize])
        manifest["comparison"][name] = result
        if not result["passed"]:
            raise ValueError(_disagreement(name, result))
    manifest["files"] = describe_files(folder)
    (folder / "manifest.json").write_text(manifest_text(manifest), encoding="utf-8")
    return manifest


def _write(model, folder, format, quantize, square, manifest):
    if format == "saved_model":
        from keras_rlr.export.saved_model import (
            saved_model_operators,
            saved_model_runners,
            write_saved_model,
        )
        from keras_rlr.export.warm_up import write_warm_up

        write_saved_model(model, folder, manifest)
        manifest["warm_up_requests"] = write_warm_up(folder)
        return saved_model_runners(folder), saved_model_operators(folder)
    if format == "litert":
        from keras_rlr.export import litert

        path = folder / "model.tflite"
        litert.write_litert(model, path, quantize, square)
        return litert.litert_runners(path), litert.litert_operators(path)
    if format == "onnx":
        from keras_rlr.export import onnx

        path = folder / "model.onnx"
        onnx.write_onnx(model, path)
        return onnx.onnx_runners(path), onnx.onnx_operators(path)
    from keras_rlr.export import openvino

    path = folder / "model.xml"
    openvino.write_openvino(model, path)
    return openvino.openvino_runners(path), openvino.openvino_operators(path)


def _check_packages(format):
    for name in _NEEDS[format]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImportError(
                f"Exporting to {format} needs {name.replace('_', '-')}, which can't be "
                f'imported ({error}). Install it with pip install "keras-rlr[export]".'
            ) from error


def _disagreement(name, result):
    return (
        f"The export does not agree with the model, so nothing was written. On "
        f"{result['images']} images, {name} differs by {result['map_difference']:.2g} "
        f"of the largest value in maps and by {result['score_difference']:.2g} in "
        f"scores, where {result['tolerance']:g} is allowed, and decides "
        f"{result['decisions_changed_beyond_margin']} images otherwise. Another "
        "`quantize`, or none, is more exact."
    )
