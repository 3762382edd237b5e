"""Scores a folder of images with an exported LiteRT model, on a small machine.

    pip install ai-edge-litert numpy Pillow
    python score_images.py model.tflite IMAGES [--threads 4]

IMAGES is a file or a folder, searched with the folders in it. Prints a line an image as
comma-separated values: path, score, decision, milliseconds. An image that can't be read
gets its error, and the others go on. The manifest beside the model, if it is there too,
says how many bits a value of 16-bit images has.
"""

import argparse
import csv
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "BMP")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}


def image_for_model(image, height, width):
    """float32 RGB in 0-255, (1, height, width, 3), of an upright image of Pillow."""
    if image.mode.startswith("I"):
        # 16 bits; Pillow's conversion to RGB would make most of them white.
        channels = [Image.fromarray(np.asarray(image, "float32") / 257)] * 3
    else:
        channels = [channel.convert("F") for channel in image.convert("RGB").split()]
    # In 8 bits Pillow rounds every pixel twice.
    resized = [c.resize((width, height), Image.Resampling.BILINEAR) for c in channels]
    return np.stack([np.asarray(channel) for channel in resized], -1)[None]


def read_image(path, size, bit_depth=None):
    """The pixels of a file, turned upright and resized."""
    with Image.open(path, formats=FORMATS) as image:
        pixels = image_for_model(ImageOps.exif_transpose(image), *size)
        if bit_depth and image.mode.startswith("I"):
            pixels *= np.float32(257 * 255 / (2**bit_depth - 1))
        return pixels


def read_manifest(model):
    """What was written beside the model, or an empty dict."""
    for name in (f"{model.name}.manifest.json", "manifest.json"):
        if model.with_name(name).is_file():
            return json.loads(model.with_name(name).read_text(encoding="utf-8"))
    return {}


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--threads", type=int, default=4)
    chosen = parser.parse_args()
    manifest = read_manifest(chosen.model)
    if manifest.get("tiling"):
        parser.error(
            f"{chosen.model} takes one tile of an image, and this scores whole images. "
            f"Cut them as the manifest's 'tiling' says: {manifest['tiling']}."
        )
    bit_depth = manifest.get("model", {}).get("bit_depth")
    interpreter = Interpreter(str(chosen.model), num_threads=chosen.threads)
    _, *size, _ = map(int, interpreter.get_input_details()[0]["shape"])
    run = interpreter.get_signature_runner()
    paths = [chosen.images]
    if chosen.images.is_dir():
        files = sorted(chosen.images.rglob("*"))
        paths = [path for path in files if path.suffix.lower() in SUFFIXES]
        others = [path.name for path in files if path.is_file() and path not in paths]
        if others:
            names = ", ".join(others[:3])
            print(f"{len(others)} other files are left out: {names} …", file=sys.stderr)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["path", "anomaly_score", "is_anomalous", "milliseconds", "error"])
    for path in paths:
        began = time.perf_counter()
        try:
            outputs = run(image=read_image(path, size, bit_depth))
        # Damaged files make Pillow's decoders raise nearly anything.
        except Exception as error:
            rows.writerow([path, "", "", "", error])
            continue
        elapsed = 1000 * (time.perf_counter() - began)
        decision = bool(outputs["is_anomalous"][0]) if "is_anomalous" in outputs else ""
        score = float(outputs["anomaly_score"][0])
        if not math.isfinite(score):
            rows.writerow([path, "", "", f"{elapsed:.1f}", "has no finite score"])
            continue
        rows.writerow([path, f"{score:.5f}", decision, f"{elapsed:.1f}", ""])


if __name__ == "__main__":
    main()
