"""A train step in float32 beside mixed_bfloat16, on a processor.

    python -m benchmarks.precision [--backends tensorflow,jax,torch] [--batch 8]
        [--preset rlr_efficientnet_lite2_fused] [--json FILE]

Both models are in one process, and their steps are taken in turns, so that what else
the machine does disturbs both alike; each backend is a process of its own. Steps are on
kept features (what `feature_cache` trains on), on images, and of prediction, by Keras'
own functions for a batch. Printed are the least and the median seconds, the least of
the processor's time, which other jobs disturb less, their ratios, and the losses after
as many steps. Processors with AMX multiply bfloat16 many times as
fast as those with AVX-512 alone; the first line says which this one has.
"""

import argparse
import json
import os
import re
import statistics
import time
from pathlib import Path

from benchmarks.processes import in_child

MODULE = "benchmarks.precision"
DTYPES = ("float32", "mixed_bfloat16")


def instructions():
    """What this processor has for numbers of 16 bits, by what Linux says of it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = set(re.findall(r"\b(amx_\w+|avx512_(?:bf16|fp16)|avx512f)\b", text))
    return ", ".join(sorted(found)) or "none of AVX-512 and AMX"


def measure(preset, batch, repeat):
    """Seconds of each kind of step and dtype, and losses; in this process."""
    import keras

    import keras_rlr
    from benchmarks.gpu_models import feature_batch, image_batch

    beside = {"coreset_ratio": 0.0, "similar_images": 0}
    models = [
        keras_rlr.RLR.from_preset(preset, seed=0, dtype=dtype, **beside)
        for dtype in DTYPES
    ]
    for model in models:
        model.optimizer.build(model.trainable_variables)
    batches = {
        "train on kept features": feature_batch(models[0], batch),
        "train on images": image_batch(models[0], batch),
        "predict": image_batch(models[0], batch, training=False),
    }
    found, losses = {}, {}
    for kind, data in batches.items():
        seconds = {dtype: [] for dtype in DTYPES}
        processor = {dtype: [] for dtype in DTYPES}
        for turn in range(repeat + 1):
            for dtype, model in zip(DTYPES, models, strict=True):
                model.reset_metrics()
                began, used = time.perf_counter(), time.process_time()
                if kind == "predict":
                    keras.Model.predict_on_batch(model, data)
                else:
                    loss = keras.Model.train_on_batch(model, data, return_dict=True)
                    losses[f"{kind}, {dtype}"] = float(loss["loss"])
                if turn:
                    seconds[dtype].append(time.perf_counter() - began)
                    processor[dtype].append(time.process_time() - used)
        found[kind] = {"seconds": seconds, "processor": processor}
    return {"steps": found, "losses": losses}


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default="tensorflow,jax,torch")
    parser.add_argument("--preset", default="rlr_efficientnet_lite2_fused")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true")
    chosen = parser.parse_args()
    settings = (chosen.preset, chosen.batch, chosen.repeat)
    if chosen.child:
        print(json.dumps(measure(*settings)))
        return
    print(f"This processor has: {instructions()}")
    print(f"{chosen.preset}, batch {chosen.batch}; least (median), processor's least")
    everything = {}
    for backend in chosen.backends.split(","):
        os.environ["KERAS_BACKEND"] = backend
        options = ("--preset", chosen.preset, "--batch", chosen.batch)
        found = in_child(MODULE, *options, "--repeat", chosen.repeat)
        everything[backend] = found
        for kind, steps in found["steps"].items():
            least = [min(steps["seconds"][dtype]) for dtype in DTYPES]
            middle = [statistics.median(steps["seconds"][dtype]) for dtype in DTYPES]
            used = [min(steps["processor"][dtype]) for dtype in DTYPES]
            words = "  ".join(
                f"{dtype} {a:.3f} ({b:.3f}), {c:.3f} s"
                for dtype, a, b, c in zip(DTYPES, least, middle, used, strict=True)
            )
            ratios = f"{least[0] / least[1]:.2f} ({middle[0] / middle[1]:.2f}), "
            ratios += f"{used[0] / used[1]:.2f}"
            print(f"{backend:10} {kind}: {words}, {ratios} times as fast", flush=True)
            losses = [found["losses"].get(f"{kind}, {dtype}") for dtype in DTYPES]
            if None not in losses:
                print(f"{'':10} losses {losses[0]:.5f} and {losses[1]:.5f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(everything, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
