"""Peak memory of scoring images of many pixels, beside that of the model alone.

    python -m benchmarks.memory [--images 16] [--side 6000] [--format PNG] [--model RUN]

Writes images of side x side pixels into a temporary folder, and prints the peak memory
of the process after one small image, and after scoring all of them: by `keras-rlr
predict`'s function, and by `RLR.predict` of a `FolderDataset`.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

WAYS = ("model alone", "predict_images", "RLR.predict")


def peak_mib():
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way, folder, run):
    """Prints the peak memory of one way, in a process of its own."""
    import keras_rlr
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.evaluation.predict_images import predict_images

    if run:
        model = keras_rlr.RLR.from_preset(run)
    else:
        model = keras_rlr.RLR(
            backbone="efficientnet_lite2",
            levels=(3,),
            standardize_features=False,
            seed=0,
        )
    rng = np.random.default_rng(0)
    size = model.image_size
    model.predict(rng.integers(0, 256, (16, size, size, 3), "uint8"), verbose=0)
    model.calibrate(rng.integers(0, 256, (20, size, size, 3), "uint8"), 0.1)
    if way == "predict_images":
        predict_images(model, folder / "part" / "train", folder / "output")
    elif way == "RLR.predict":
        model.predict(FolderDataset(folder), batch_size=16, verbose=0)
    print(f"{peak_mib():.0f}")


def main():
    """Writes images, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--side", type=int, default=6000)
    parser.add_argument("--format", choices=["JPEG", "PNG"], default="JPEG")
    parser.add_argument("--model", help="Folder of a run; by default untrained.")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        measure(chosen.way, chosen.folder, chosen.model)
        return
    with tempfile.TemporaryDirectory() as name:
        good = Path(name, "part", "train", "good")
        good.mkdir(parents=True)
        random = np.random.default_rng(0)
        for i in range(chosen.images):
            coarse = random.integers(0, 256, (60, 60, 3), "uint8")
            image = Image.fromarray(coarse).resize((chosen.side,) * 2)
            image.save(good / f"{i}.{chosen.format.lower()}")
        of_model = None
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.memory", "--way", way]
            command += ["--folder", name]
            command += ["--model", chosen.model] if chosen.model else []
            done = subprocess.run(
                command, capture_output=True, text=True, env=os.environ, check=True
            )
            mib = float(done.stdout.split()[-1])
            of_model = of_model or mib
            print(f"{way}: {mib:.0f} MiB, {mib - of_model:+.0f}", flush=True)


if __name__ == "__main__":
    main()
