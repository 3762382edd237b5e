"""Scores a folder of images with an exported SavedModel, in batches.

    pip install tensorflow
    python score_folder.py serving/rlr/1 IMAGES --output scores.csv [--batch 16]

IMAGES is searched with the folders in it. The files are decoded in the model itself.
The table has a line an image: path, score, decision, error; one that can't be read gets
its error, and the others go on. Exits with 1 if any had one. Images that show no
product that the model knows are scored, and anomalous; how many there are is said. The
table is there when it is whole, never before.
"""

import argparse
import csv
import math
import os
import sys
from pathlib import Path

import tensorflow as tf

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
ERRORS = {
    1: "can't be decoded",
    2: "has too many pixels, or more bits than the model takes",
    3: "has no finite score",
}
# Scored, but it shows no product that the model knows.
UNKNOWN = 4


def find_images(folder):
    """Paths of the images in a folder and those below it, in order."""
    return [path for path in sorted(folder.rglob("*")) if is_image(path)]


def is_image(path):
    """Whether a path is a file with the suffix of an image."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def scored(model, paths, batch):
    """Yields path, score, decision and error of each image, and its status."""
    serve = tf.saved_model.load(str(model)).signatures["serve_bytes"]
    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    # The next batch is read while this one is scored.
    files = files.map(tf.io.read_file, num_parallel_calls=4).batch(batch).prefetch(1)
    done = 0
    for content in files:
        outputs = {name: value.numpy() for name, value in serve(content).items()}
        for i, status in enumerate(outputs["status"]):
            path = paths[done]
            done += 1
            if status in ERRORS:
                yield path, "", "", ERRORS[int(status)], status
            else:
                # A model without a threshold decides nothing.
                flag = outputs.get("is_anomalous")
                decision = "" if flag is None else str(bool(flag[i])).lower()
                score = f"{outputs['anomaly_score'][i]:.6g}"
                yield path, score, decision, "", status
        batches = math.ceil(len(paths) / batch)
        print(f"\rbatch {math.ceil(done / batch)}/{batches}", end="", file=sys.stderr)
    print(file=sys.stderr)


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--output", type=Path, default=Path("scores.csv"))
    parser.add_argument("--batch", type=int, default=16)
    chosen = parser.parse_args()
    if not (chosen.model / "saved_model.pb").is_file():
        parser.error(f"{chosen.model} is no folder of a SavedModel")
    paths = find_images(chosen.images)
    others = [p for p in chosen.images.rglob("*") if p.is_file() and not is_image(p)]
    if others:
        names = ", ".join(sorted(path.name for path in others)[:3])
        print(f"{len(others)} other files are left out: {names} …", file=sys.stderr)
    if not paths:
        parser.error(f"there are no images (.png, .jpg, .bmp) in {chosen.images}")
    failed = unknown = 0
    partial = chosen.output.with_name(chosen.output.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "anomaly_score", "is_anomalous", "error"])
        for path, *found, status in scored(chosen.model, paths, chosen.batch):
            table.writerow([path.relative_to(chosen.images).as_posix(), *found])
            failed += bool(found[-1])
            unknown += status == UNKNOWN
        file.flush()
        os.fsync(file.fileno())
    partial.replace(chosen.output)
    print(f"{len(paths)} images, {failed} of them not scored: {chosen.output}")
    if unknown:
        print(f"{unknown} images show no product that the model knows.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
