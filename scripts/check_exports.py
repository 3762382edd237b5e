"""Holds the exports of a trained model to bars, on real images, as users run them.

    python -m scripts.check_exports --model RUN --data DIR [--formats litert,onnx]

RUN is what `keras-rlr train` wrote, of any backend; DIR a folder in MVTec AD's layout.
Every format is written by `keras-rlr export` and run in a fresh process that has its
runtime and neither this package nor, where the runtime allows, TensorFlow and Keras.
Images are those of the test set, and ten of them stretched to sizes from 1x1 to
1600x1200. Formats of square images are given them as this package resizes them.

Bars: maps and scores within the tolerances of docs/export.md, the same decisions but
where a score is that close to the threshold, image AUROC within 0.1 points, and within
0.5 points where activations have 8 bits. Exits with 1 if one is missed.
"""

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_rlr.datasets import FolderDataset
from keras_rlr.detectors.loading import load_model, saved_model_path
from keras_rlr.export.compare import TOLERANCES, compare
from keras_rlr.export.image_for_model import image_for_model
from keras_rlr.inputs.images import to_rgb
from keras_rlr.metrics.functional import auroc
from tests.export.run_alone import run_alone

SIZES = [(1, 1), (17, 31), (64, 64), (100, 300), (299, 301), (333, 777), (480, 640)]
SIZES += [(720, 1280), (1080, 1920), (1600, 1200)]
FILES = {"litert": "m.tflite", "onnx": "m.onnx", "openvino": "m.xml"}
# Name, format, quantisation, and tolerance of image AUROC.
EXPORTS = [
    ("saved_model", "saved_model", None, 0.1),
    ("serve_bytes", "saved_model", None, 0.1),
    ("litert", "litert", None, 0.1),
    ("float16", "litert", "float16", 0.1),
    ("dynamic", "litert", "dynamic", 0.5),
    ("int8", "litert", "int8", 0.5),
    ("onnx", "onnx", None, 0.1),
    ("openvino", "openvino", None, 0.1),
]


def stretched(images):
    """Ten uint8 images of all sizes."""
    from PIL import Image

    chosen = np.linspace(0, len(images) - 1, len(SIZES)).astype(int)
    return [
        np.asarray(
            Image.fromarray(to_rgb(images[i], "it").astype("uint8")).resize(size[::-1])
        )
        for i, size in zip(chosen, SIZES, strict=True)
    ]


def encoded(image):
    """The bytes of an image as a PNG file, in an array."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return np.frombuffer(file.getvalue(), "uint8")


def inputs_of(name, format, images, size):
    """The batches of one image that an export is given."""
    if name == "serve_bytes":
        return [encoded(image) for image in images]
    if format == "saved_model":
        return [image[None].astype("float32") for image in images]
    from PIL import Image

    return [image_for_model(Image.fromarray(image), *size) for image in images]


def export(chosen, format, quantize, folder):
    """Writes an export by the command line; returns its path."""
    path = folder / FILES.get(format, "1")
    if not path.exists():
        command = ["export", "--model", chosen.model, "--format", format]
        command += ["--output", path, "--data", chosen.data]
        command += ["--quantize", quantize] if quantize else []
        subprocess.run(
            [sys.executable, "-m", "keras_rlr_command", *map(str, command)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return path


def main():
    """Exports, runs, compares and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--formats", default=",".join(name for name, *_ in EXPORTS))
    chosen = parser.parse_args()
    model = load_model(saved_model_path(chosen.model))
    test = FolderDataset(chosen.data, "test")
    images = [to_rgb(test[i]["image"], "it").astype("uint8") for i in range(len(test))]
    labels = np.array([sample.label for sample in test.samples])
    categories = np.array([sample.category for sample in test.samples])
    images += stretched(images)
    expected = model.predict(images, batch_size=16, verbose=0)

    def mean_auroc(scores):
        scores = scores[: len(test)]
        return 100 * np.mean(
            [
                auroc(labels[categories == name], scores[categories == name])
                for name in test.categories
            ]
        )

    before = mean_auroc(expected["anomaly_score"])
    print(f"{len(test)} test images and {len(SIZES)} others; AUROC {before:.2f}")
    missed = 0
    names = chosen.formats.split(",")
    for name, format, quantize, of_auroc in EXPORTS:
        if name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            path = export(chosen, format, quantize, folder)
            batches = inputs_of(name, format, images, model.map_size)
            runner = name if name == "serve_bytes" else format
            found = run_alone(runner, path, batches, folder)
        result = compare(expected, found, model.threshold, TOLERANCES[quantize])
        after = mean_auroc(found["anomaly_score"])
        kept = result["passed"] and abs(after - before) <= of_auroc
        missed += not kept
        print(
            f"{name:12} maps differ by {result['map_difference']:.1e}, scores by "
            f"{result['score_difference']:.1e}; AUROC {after:.2f}; "
            f"{result['decisions_changed']} decisions changed: "
            f"{'kept' if kept else 'MISSED'}",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
