"""Writes and compares an export; needs the TensorFlow backend."""

import contextlib
import importlib

import numpy as np
from PIL import Image

from keras_rlr.detectors.score_thresholds import refuse_not_finite
from keras_rlr.detectors.weights_version import weights_version
from keras_rlr.export.compare import TOLERANCES, compare
from keras_rlr.export.decode_images import LONGEST_SIDE, MOST_PIXELS
from keras_rlr.export.image_for_model import image_for_model
from keras_rlr.export.manifest import describe_export, describe_files, manifest_text
from keras_rlr.export.sample_images import sample_images, with_double_exposures

# And their double exposures.
_COMPARED = 4
# Exports compute in float32, whatever the model was trained in.
_TOLERANCES_OF_DTYPES = {
    "float64": 0.0,
    "float32": 0.0,
    "float16": 0.02,
    "bfloat16": 0.1,
}
_NEEDS = {
    "saved_model": ("tensorflow",),
    "litert": ("ai_edge_litert",),
    "onnx": ("tf2onnx", "onnxruntime"),
    "openvino": ("openvino",),
}


def write_export(
    model,
    folder,
    images,
    format,
    name,
    quantize,
    categories,
    evaluation,
    departures=(),
    tiling=None,
):
    """Writes an export and its manifest into a folder, and compares.

    Args:
        model: An `RLR` model.
        folder: An empty folder.
        images: List of uint8 arrays (height, width, 3).
        format: See `export_model`, like the others.
        name: The file's name, None for a SavedModel.
        quantize: Kind of quantisation.
        categories: List of names.
        evaluation: Figures, or None.
        departures: Sentences: what the export does otherwise than the user's model.
        tiling: Of an export that takes one tile, how images are cut; or None.

    Returns:
        The manifest.

    Raises:
        ValueError: If the export does not agree with the model.
        ImportError: If a package is missing.
        FloatingPointError: If the model's scores are not finite numbers.
    """
    _check_packages(format)
    version = weights_version(model)
    manifest = describe_export(model, format, quantize, version, categories, evaluation)
    manifest["departures"] = list(departures)
    manifest["tiling"] = tiling
    chosen = np.linspace(0, len(images) - 1, min(len(images), _COMPARED)).astype(int)
    takes = [images[i] for i in chosen if _is_served(images[i], format)]
    takes = with_double_exposures(takes or list(sample_images(1, model.map_size)))
    with _exact_products():
        expected = model.predict(takes, verbose=0, original_size=False)
    refuse_not_finite(expected["anomaly_score"], "be exported")
    runners, manifest["operators"] = _write(
        model.compact("float32"),
        folder / (name or ""),
        format,
        quantize,
        images,
        manifest,
    )
    if format != "saved_model":
        takes = _in_batches(takes, model)
    tolerance = max(TOLERANCES[quantize], _TOLERANCES_OF_DTYPES[model.compute_dtype])
    manifest["comparison"] = {}
    threshold = model.thresholds.of_images(expected.get("category"))
    for runner, run in runners.items():
        outputs = [run(take) for take in takes]
        found = {key: np.concatenate([o[key] for o in outputs]) for key in outputs[0]}
        result = compare(expected, found, threshold, tolerance)
        manifest["comparison"][runner] = result
        if not result["passed"]:
            raise ValueError(_disagreement(runner, result, quantize))
    manifest["files"] = describe_files(folder)
    (folder / "manifest.json").write_text(manifest_text(manifest), encoding="utf-8")
    return manifest


def _is_served(image, format):
    """Whether `serve_bytes` takes an image of this size."""
    height, width = image.shape[:2]
    fits = height * width <= MOST_PIXELS and max(height, width) <= LONGEST_SIDE
    return fits or format != "saved_model"


def _in_batches(images, model):
    """The images as clients give them: one alone, and the others a few at a time.

    A runtime may take one image for what it is, and the second of a batch for another.
    """
    resized = [image_for_model(Image.fromarray(x), *model.map_size) for x in images]
    size = max(2, model.inference_batch)
    starts = range(1, len(resized), size)
    rest = [np.concatenate(resized[start : start + size]) for start in starts]
    return [resized[0], *rest]


@contextlib.contextmanager
def _exact_products():
    """Without TF32, by which GPUs compute unasked."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _write(model, path, format, quantize, images, manifest):
    if format == "saved_model":
        from keras_rlr.export.saved_model import (
            saved_model_operators,
            saved_model_runners,
            write_saved_model,
        )
        from keras_rlr.export.warm_up import write_warm_up

        write_saved_model(model, path, manifest)
        manifest["warm_up_requests"] = write_warm_up(path)
        return saved_model_runners(path), saved_model_operators(path)
    if format == "litert":
        from keras_rlr.export import litert

        litert.write_litert(model, path, quantize, images)
        return litert.litert_runners(path), litert.litert_operators(path)
    if format == "onnx":
        from keras_rlr.export import onnx

        onnx.write_onnx(model, path)
        return onnx.onnx_runners(path), onnx.onnx_operators(path)
    from keras_rlr.export import openvino

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


def _disagreement(name, result, quantize):
    advice = " Another `quantize`, or none, is more exact." if quantize else ""
    return (
        f"The export does not agree with the model, so nothing was written. On "
        f"{result['images']} images, {name} differs by {result['map_difference']:.2g} "
        f"of the largest value in maps and by {result['score_difference']:.2g} in "
        f"scores, where {result['tolerance']:g} is allowed, and decides "
        f"{result['decisions_changed_beyond_margin']} images otherwise; "
        f"{result.get('categories_changed', 0)} are taken for another category."
        f"{advice}"
    )
