"""One reconstructor's train step and forward pass, beside the naive ones.

    python benchmarks/attention.py [--levels 1,2,3] [--batch 4] [--repeat 3]

Random features of EfficientNet-B6's widths. Prints seconds, ratios and peak memory, of
the backend in KERAS_BACKEND, and the share of the speed of a large matrix product. Each
figure is of a process of its own, one after the other; naive and fast take turns.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

LEVELS = {1: (64, 40, 128, 11), 2: (32, 72, 256, 7), 3: (16, 200, 512, 5)}


def peak():
    """Largest resident memory of this process so far, in MiB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(level, batch, repeat, kind):
    """Seconds of a train step and of a forward pass, and memory; in this process."""
    import keras
    import numpy as np

    from benchmarks.naive import naive
    from keras_rlr import FeatureReconstructor
    from keras_rlr.losses import ReconstructionLoss

    side, channels, dim, window = LEVELS[level]
    shape = (batch, side, side, channels)
    features = np.random.default_rng(0).normal(size=shape).astype("float32")
    inputs = keras.Input(batch_shape=shape)
    context = naive() if kind == "naive" else None
    if context:
        context.__enter__()
    outputs = FeatureReconstructor(dim, window, seed=0)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(1e-4), ReconstructionLoss())
    # What the framework holds without the step: a step of a model of no size.
    tiny = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    tiny.compile(keras.optimizers.Adam(1e-4), "mse")
    tiny.train_on_batch(np.zeros((2, 4)), np.zeros((2, 4)))
    base = peak()
    steps = []
    for _ in range(repeat + 1):
        began = time.perf_counter()
        loss = float(model.train_on_batch(features, features))
        steps.append(time.perf_counter() - began)
    memory = peak() - base
    forwards = []
    for _ in range(repeat + 1):
        began = time.perf_counter()
        model.predict_on_batch(features)
        forwards.append(time.perf_counter() - began)
    return {
        "step": min(steps[1:]),
        "forward": min(forwards[1:]),
        "memory": memory,
        "loss": loss,
    }


def main():
    """Measures every level twice and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", default="1,2,3")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kinds", default="naive,fast")
    parser.add_argument("--child", nargs=2)
    arguments = parser.parse_args()
    if arguments.child:
        level, kind = arguments.child
        result = measure(int(level), arguments.batch, arguments.repeat, kind)
        print(json.dumps(result))
        return
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    for level in map(int, arguments.levels.split(",")):
        found = {}
        for kind in arguments.kinds.split(","):
            command = [sys.executable, __file__, "--child", str(level), kind]
            options = ["--batch", arguments.batch, "--repeat", arguments.repeat]
            done = subprocess.run(
                [*command, *map(str, options)], stdout=subprocess.PIPE, text=True
            )
            found[kind] = (
                json.loads(done.stdout.splitlines()[-1]) if not done.returncode else {}
            )
        for kind, values in found.items():
            cells = "  ".join(f"{k} {v:.3f}" for k, v in values.items()) or "failed"
            print(f"{backend} level {level} batch {arguments.batch} {kind:6} {cells}")


if __name__ == "__main__":
    main()
