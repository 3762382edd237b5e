"""Scoring on Ray Data beside `keras-rlr predict`, with poisoned images and a kill.

    python -m benchmarks.batch [--images 5000] [--model RUN] [--workers N]

Draws small images of which one of a hundred is no image, and scores them by both
commands, each in processes of its own on the same cores, and a tenth of them too: the
speed is that of the other nine tenths, so starting is not in it, and is printed apart.
`predict` also draws a picture of every image, as it always does. A last run has one of
its workers killed once it has written something. Every image must then have one row
with the score of `predict`, to 1e-5, or the error. Without `--model` it is a PatchCore
of the offline backbone, of drawn images.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import ROOT


def draw(folder, count):
    """Writes images of 96x96 pixels; every hundredth file is no image."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for i in range(count):
        path = folder / f"{i:06}.png"
        if i % 100 == 99:
            path.write_bytes(b"no image")
            continue
        coarse = generator.integers(0, 256, (6, 6, 3), "uint8")
        Image.fromarray(coarse).resize((96, 96)).save(path)
    return folder


def offline_model(path):
    """Writes a small model that needs no download."""
    import keras_rlr
    from keras_rlr.datasets import find_images, read_image

    images = [read_image(p) for p in find_images(draw(path.parent / "train", 24))]
    model = keras_rlr.PatchCore.from_preset("patchcore_efficientnet_lite2", seed=0)
    model.fit(images, verbose=0)
    model.calibrate(images, false_positive_rate=0.2)
    model.save(path)


def start(images, model, output, *words):
    """Starts `keras-rlr predict`."""
    command = [sys.executable, "-m", "keras_rlr_command", "predict", str(images)]
    command += ["--model", str(model), "--output", str(output), *words]
    with open(f"{output}.log", "wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def seconds(*arguments):
    """How long a command takes from its start to its end."""
    began = time.perf_counter()
    process = start(*arguments)
    if process.wait():
        raise SystemExit(Path(f"{arguments[2]}.log").read_text())
    return time.perf_counter() - began


def kill_a_worker(process, output):
    """Kills a worker of Ray once there are results; returns its id."""
    while not any(Path(output).glob("part-*")):
        if process.poll() is not None:
            raise SystemExit(Path(f"{output}.log").read_text())
        time.sleep(0.01)
    for pid in descendants(process.pid):
        if "MapWorker" in words_of(pid):
            os.kill(pid, signal.SIGKILL)
            return pid
    raise SystemExit("There was no worker left to kill: give more --images.")


def words_of(pid):
    """What a process was called with, or calls itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def descendants(pid):
    """Ids of a process's children, their children and so on."""
    try:
        files = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(word) for file in files for word in file.read_text().split()]
    except OSError:
        return []
    return children + [inner for child in children for inner in descendants(child)]


def compare(scores, results):
    """Checks that each image has one row, which is that of `predict`."""
    import pyarrow.parquet as pq

    rows = pq.read_table(results).to_pylist()
    with open(scores, newline="") as file:
        expected = {row["path"]: row for row in csv.DictReader(file)}
    assert sorted(row["path"] for row in rows) == sorted(expected)
    largest = 0.0
    for row in rows:
        wanted = expected[row["path"]]
        assert row["error"] == wanted["error"]
        if not row["error"]:
            wanted = float(wanted["anomaly_score"])
            largest = max(largest, abs(row["anomaly_score"] - wanted))
    assert largest <= 1e-5, largest
    return len(rows), sum(bool(row["error"]) for row in rows), largest


def main():
    """Measures, and prints as it goes on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--model")
    parser.add_argument("--workers")
    options = parser.parse_args()
    ray = ["--engine", "ray"]
    ray += ["--workers", options.workers] if options.workers else []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model = options.model or folder / "model.keras"
        if not options.model:
            offline_model(model)
        few = max(1, options.images // 10)
        lake, pond = draw(folder / "lake", options.images), draw(folder / "pond", few)
        speeds = {}
        for name, words in (("predict", []), ("ray", ray)):
            long = seconds(lake, model, folder / name, *words)
            short = seconds(pond, model, folder / f"{name}-few", *words)
            speeds[name] = (options.images - few) / (long - short)
            print(
                f"{name}: {options.images} images in {long:.1f} s, {few} in "
                f"{short:.1f} s: {speeds[name]:.1f} images a second",
                flush=True,
            )
        print(f"ray / predict: {speeds['ray'] / speeds['predict']:.2f}")
        process = start(lake, model, folder / "killed", *ray)
        pid = kill_a_worker(process, folder / "killed")
        if process.wait():
            raise SystemExit(Path(folder, "killed.log").read_text())
        scores = folder / "predict" / "scores.csv"
        count, failed, largest = compare(scores, folder / "killed")
        print(
            f"worker {pid} killed: {count} images, each once, {failed} of them "
            f"unreadable; scores differ by {largest:.1g} at most"
        )


if __name__ == "__main__":
    main()
