"""What is written beside an export: what it is, of what, and how well it agrees."""

import dataclasses
import hashlib
import json

from keras_rlr.detectors.describe_model import describe_model
from keras_rlr.environment import describe_environment

VERSION = 1


def describe_export(model, format, quantize, model_version, categories, evaluation):
    """Returns what the manifest says before anything is written.

    Args:
        model: An `RLR` model.
        format: Name of the format.
        quantize: Kind of quantisation, or None.
        model_version: See `keras_rlr.detectors.weights_version`.
        categories: Names of what it was trained on.
        evaluation: Figures of the model, or None if it was not evaluated.
    """
    size = model.map_size
    image = {"dtype": "float32", "shape": ["batch", *size, 3], "values": "0-255"}
    outputs = {
        "anomaly_map": {"dtype": "float32", "shape": ["batch", *size]},
        "anomaly_score": {"dtype": "float32", "shape": ["batch"]},
    }
    if model.threshold is not None:
        outputs["is_anomalous"] = {"dtype": "bool", "shape": ["batch"]}
    known = model.thresholds.known.statistics
    if known is not None:
        outputs["category"] = {
            "dtype": "int32",
            "shape": ["batch"],
            "values": "a place in known_categories, or -1 for none of them, which "
            "makes the image anomalous",
        }
        outputs["comparable_score"] = {
            "dtype": "float32",
            "shape": ["batch"],
            "values": "(anomaly_score - score_mean) / score_spread of the category, "
            "where it is -1 of the one that it looks most like",
        }
    inputs = {"image": {**image, "resize": "bilinear, antialiased, aspect not kept"}}
    if format == "saved_model":
        inputs = _saved_model_inputs()
        if model.threshold is not None and model.thresholds.by_category:
            inputs["decide"] = {
                "anomaly_score": {"dtype": "float32", "shape": ["batch"]},
                "category": {"dtype": "string", "shape": ["batch"]},
            }
    return {
        "manifest_version": VERSION,
        "format": format,
        "quantize": quantize,
        "model_version": model_version,
        "model": describe_model(model),
        "categories": categories,
        "threshold": model.threshold,
        "category_thresholds": model.thresholds.by_category,
        "pixel_threshold": model.pixel_threshold,
        "category_pixel_thresholds": dict(model.thresholds.pixels.by_category),
        "known_categories": [] if known is None else describe_categories(known),
        "inputs": inputs,
        "outputs": outputs,
        "evaluation": evaluation,
        "environment": describe_environment(),
    }


def describe_tiling(tiling):
    """How clients of an export that takes one tile cut images.

    Args:
        tiling: The `Tiling` of the model.
    """
    return {
        **dataclasses.asdict(tiling),
        "overlaps": list(tiling.overlaps),
        "whole_size": list(tiling.whole_size),
        "places": "images are resized to whole_size; the tile of row i and column j "
        "begins at row i * (height - overlaps[0]) and column j * (width - overlaps[1])",
    }


def describe_categories(known):
    """The categories that a model recognises, in the order of their numbers.

    Args:
        known: `CategoryStatistics`.
    """
    means, spreads = known.score_means.tolist(), known.score_spreads.tolist()
    return [
        {"name": name, "score_mean": mean, "score_spread": spread}
        for name, mean, spread in zip(known.names, means, spreads, strict=True)
    ]


def _saved_model_inputs():
    pixels = {"shape": ["batch", "height", "width", 3], "values": "0-255, any size"}
    return {
        "serving_default": {"image": {"dtype": "uint8", **pixels}},
        "serve_float": {"image": {"dtype": "float32", **pixels}},
        "score_only": {"image": {"dtype": "uint8", **pixels}},
        "serve_bytes": {
            "image_bytes": {
                "dtype": "string",
                "shape": ["batch"],
                "values": "JPEG, PNG or BMP files of at most 33554432 pixels and "
                "65536 a side; output status: 0 scored, 1 undecodable, 2 refused size "
                "or bit depth, 3 decoded, but the score is not a finite number, 4 "
                "scored, but it shows none of the known categories; where it is 1, 2 "
                "or 3 the score is NaN or infinite, and where it is not 0 "
                "is_anomalous, of a calibrated model, is true",
            }
        },
        "info": {"request": {"dtype": "string", "shape": ["batch"]}},
    }


def describe_files(folder):
    """Dict of the files below a folder: bytes and SHA-256."""
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def manifest_text(manifest):
    """The manifest as a JSON file's text."""
    return json.dumps(manifest, indent=2) + "\n"
