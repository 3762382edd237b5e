"""What each method costs: training, prediction, file and memory, side by side.

    KERAS_BACKEND=torch python -m benchmarks.methods [--images 200] [--methods a,b]
        [--backbone efficientnet_lite2] [--image-size N]

Random images, of the preset's size or another; each method, with the preset that
`train` takes for the backbone, in a process of its own, one after the other. Methods of
one pass are trained whole. Of the others two epochs are, and the second's time a step,
times the steps of the recipe, is added to what is not steps: features, compiling, a
memory bank, maps of similar images. So their time in all is a projection. Predicted are
32 images in batches of 8, after a first batch.
"""

import argparse
import json
import math
import os
import tempfile
import time
from pathlib import Path

from benchmarks.processes import best, in_child, peak

MODULE = "benchmarks.methods"
COLUMNS = ("steps", "s a step", "s in all", "ms an image", "file MiB", "peak MiB")


def measure(method, backbone, count, image_size):
    """Dict of the columns of a method, in this process."""
    import keras
    import numpy as np

    from keras_rlr.detectors.one_pass_detector import OnePassDetector
    from keras_rlr.detectors.save_model import save_without_optimizer
    from keras_rlr.methods.by_name import METHODS

    class Clock(keras.callbacks.Callback):
        """Seconds of each epoch."""

        def __init__(self):
            super().__init__()
            self.seconds = []

        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds.append(time.perf_counter() - self.began)

    kind = METHODS[method]
    settings = {"image_size": image_size} if image_size else {}
    detector = kind.from_preset(kind.preset_for(backbone), seed=0, **settings)
    shape = (count, *detector.image_shape, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    steps, step = 0, 0.0
    began = time.perf_counter()
    if isinstance(detector, OnePassDetector):
        detector.fit(images, verbose=0)
        seconds = time.perf_counter() - began
    else:
        clock = Clock()
        cache = {"feature_cache": "memory"} if detector.profits_from_cache else {}
        detector.fit(images, epochs=2, verbose=0, callbacks=[clock], **cache)
        seconds = time.perf_counter() - began
        a_pass = math.ceil(count / detector.recipe.batch_size)
        steps = a_pass * detector.recipe.epochs_for(a_pass)
        step = clock.seconds[1] / a_pass
        seconds += step * (steps - 2 * a_pass)
    some = images[:32]
    predict = best(lambda: detector.predict(some, batch_size=8, verbose=0), 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        save_without_optimizer(detector, path)
        size = path.stat().st_size / 2**20
    values = (steps, step, seconds, 1000 * predict / len(some), size, peak())
    return dict(zip(COLUMNS, values, strict=True))


def main():
    """Runs what the command line asks for."""
    methods = "patchcore,padim,simplenet,uniad,mkd,draem,rlr"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--methods", default=methods)
    parser.add_argument("--backbone", default="efficientnet_lite2")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--child")
    chosen = parser.parse_args()
    backend = os.environ.setdefault("KERAS_BACKEND", "torch")
    settings = (chosen.backbone, chosen.images, chosen.image_size)
    if chosen.child:
        print(json.dumps(measure(chosen.child, *settings)))
        return
    print(f"| {backend}, {chosen.images} images | {' | '.join(COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    options = ["--images", chosen.images, "--backbone", chosen.backbone]
    options += ["--image-size", chosen.image_size] if chosen.image_size else []
    for method in chosen.methods.split(","):
        found = in_child(MODULE, method, *options)
        digits = (0, 2, 0, 0, 1, 0)
        cells = [f"{found[c]:.{d}f}" for c, d in zip(COLUMNS, digits, strict=True)]
        print(f"| {method} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
