"""The whole model on images, backbone included, beside the same with dense attention.

    KERAS_BACKEND=torch python -m benchmarks.whole_model [--preset NAME] [--batch 4]

Random weights and images, float32. Prints seconds of a train step and of predicting a
batch, and peak memory beside that of the imported package, of ours (`fast`), of
`benchmarks/naive.py` (`naive`) and, for prediction, of `compact()`, and their ratios.
Every kind runs in a process of its own, one after the other. Dense attention at level 1
is measured with one image, times the batch: more do not fit into most machines.
"""

import argparse
import contextlib
import json
import os

from benchmarks.processes import best, in_child, peak, show

MODULE = "benchmarks.whole_model"
KINDS = ("naive", "fast", "compact")


def measure(kind, preset, batch, repeat):
    """Seconds and memory of a kind; in this process."""
    import numpy as np

    from benchmarks.naive import naive
    from keras_rlr import RLR

    base = peak()
    with naive() if kind == "naive" else contextlib.nullcontext():
        weights = "imagenet" if "lite2" in preset else None
        model = RLR.from_preset(preset, backbone_weights=weights, seed=0)
        shape = (batch, model.image_size, model.image_size, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
        features = {
            "image": images.astype("float32"),
            "noise_key": np.zeros((batch, 2), "int32"),
            "weight": np.ones(batch, "float32"),
        }
        if model.standardize_features:
            model.adapt(images)
        found = {}
        if kind == "compact":
            model = model.compact()
        else:
            model.optimizer.build(model.trainable_variables)
            found["step"] = best(lambda: model.train_on_batch(features), repeat)
            found["memory"] = peak() - base
        found["predict"] = best(
            lambda: model.predict_on_batch(features["image"]), repeat
        )
    return found


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="rlr_efficientnet_b6")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--child")
    chosen = parser.parse_args()
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    settings = (chosen.preset, chosen.batch, chosen.repeat)
    if chosen.child:
        print(json.dumps(measure(chosen.child, *settings)))
        return
    found = {}
    for kind in chosen.kinds.split(","):
        images = 1 if kind == "naive" else chosen.batch
        options = ("--preset", chosen.preset, "--batch", images)
        result = in_child(MODULE, kind, *options, "--repeat", chosen.repeat)
        found[kind] = {k: v * chosen.batch / images for k, v in result.items()}
        rate = chosen.batch / found[kind]["predict"]
        line = f"{show(found[kind])}, {rate:.2f} images/s predicted"
        print(f"{backend}, {kind:7}", line, flush=True)
    for kind in ("fast", "compact"):
        if "naive" in found and kind in found:
            ratios = "  ".join(
                f"{k} {found['naive'][k] / v:.2f}" for k, v in found[kind].items()
            )
            print(f"naive / {kind}:  {ratios}")


if __name__ == "__main__":
    main()
