"""Time from a fresh start to a given AUROC: the default recipe beside the paper's.

    KERAS_BACKEND=tensorflow python -m benchmarks.recipe --data DIR [--seeds 0,1,2]

DIR is a folder in MVTec AD's layout. `default` is the preset
`rlr_efficientnet_lite2_one_level` as it comes, from a feature cache in memory that is
empty at first; `paper` trains as RLR's authors do, on the same backbone's level 3: raw
features, width 512, Adam 1e-4, batches of 8, no cache, and the dense attention of
`benchmarks/naive.py`. No image is held out. Every run is a process of its own, timed
from before it begins; after each epoch it is tested, which does not count, and it ends
when the mean image and pixel AUROC of the categories have both reached --target. Prints
every test, the medians and their ratio.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPES = ("default", "paper")
MOST_EPOCHS = 40


def train(recipe, data, seed, target, batch_size, began):
    """Trains in this process until the target is reached; prints a line a test."""
    import keras

    from benchmarks.naive import naive
    from keras_rlr import RLR
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.evaluation.evaluate_model import measure
    from keras_rlr.evaluation.test_predictions import predict_test_set

    class Test(keras.callbacks.Callback):
        """Measures the AUROC after every epoch, and the time without measuring."""

        testing = 0.0

        def on_epoch_end(self, epoch, logs=None):
            paused = time.time()
            mean = measure(predict_test_set(self.model, tested))["mean"]
            auroc = [100 * mean[f"{kind}_auroc"] for kind in ("image", "pixel")]
            steps = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
            seconds = paused - began - self.testing
            reached = all(a >= t for a, t in zip(auroc, target, strict=True))
            self.testing += time.time() - paused
            line = {"seconds": seconds, "steps": steps, "auroc": auroc}
            print(json.dumps({**line, "reached": reached}), flush=True)
            if reached:
                self.model.stop_training = True

    tested = FolderDataset(data, "test")
    settings, options, attention = {}, {}, contextlib.nullcontext()
    if recipe == "paper":
        settings = {"hidden_dims": (512,), "standardize_features": False}
        options, attention = {"batch_size": 8}, naive()
    else:
        options = {"feature_cache": "memory", "batch_size": batch_size}
    model = RLR.from_preset(
        "rlr_efficientnet_lite2_one_level", recipe=recipe, seed=seed, **settings
    )
    with attention:
        model.fit(
            FolderDataset(data, "train"),
            epochs=MOST_EPOCHS,
            verbose=0,
            callbacks=[Test()],
            **options,
        )


def run(recipe, seed, chosen):
    """Runs one training in a process of its own; returns the seconds it needed."""
    began = time.time()
    command = [sys.executable, "-m", "benchmarks.recipe", "--data", chosen.data]
    command += ["--target", chosen.target, "--child", recipe, str(seed), str(began)]
    if chosen.batch_size:
        command += ["--batch-size", str(chosen.batch_size)]
    tests = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=None if chosen.verbose else subprocess.DEVNULL,
        text=True,
    ) as child:
        for line in child.stdout:
            tests.append(json.loads(line))
            image, pixel = tests[-1]["auroc"]
            print(
                f"{recipe}, seed {seed}: {tests[-1]['seconds']:7.1f} s, step "
                f"{tests[-1]['steps']}: {image:.2f}/{pixel:.2f}",
                flush=True,
            )
    if not tests or not tests[-1]["reached"]:
        raise SystemExit(
            f"{recipe}, seed {seed}: {chosen.target} was not reached in {MOST_EPOCHS} "
            "epochs, or the training failed; --verbose shows what it says."
        )
    return tests[-1]["seconds"]


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=os.path.abspath)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--target", default="98.5/97.5")
    parser.add_argument("--batch-size", type=int, help="of the default recipe")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--child", nargs=3)
    chosen = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if chosen.child:
        recipe, seed, began = chosen.child
        target = [float(figure) for figure in chosen.target.split("/")]
        options = (target, chosen.batch_size, float(began))
        train(recipe, chosen.data, int(seed), *options)
        return
    medians = {}
    for recipe in chosen.recipes.split(","):
        seconds = [run(recipe, int(seed), chosen) for seed in chosen.seeds.split(",")]
        medians[recipe] = statistics.median(seconds)
        print(f"{recipe}: {chosen.target} after {medians[recipe]:.1f} s, the median")
    if set(RECIPES) <= set(medians):
        ratio = medians["paper"] / medians["default"]
        print(f"{os.environ['KERAS_BACKEND']}: {ratio:.1f} times sooner")


if __name__ == "__main__":
    main()
