"""A reconstructor's train step and forward pass, beside those of dense attention.

    KERAS_BACKEND=torch python -m benchmarks.attention [--levels 1,2,3] [--batch 4]
    KERAS_BACKEND=torch python -m benchmarks.attention --growth
    KERAS_BACKEND=jax python -m benchmarks.attention --blocks [--levels 1]

Random features of EfficientNet-B6's widths, float32, Adam. Prints seconds and peak
memory of ours (`fast`) and of `benchmarks/naive.py` (`naive`), their ratios, and the
share of the speed of a large matrix product that is reached. Every figure is of a
process of its own, one after the other. Memory is the resident set's peak beside that
of a model of no size. Level 1 does not fit into most machines naively: its naive
figures are of one image, times the batch. `--growth` prints the memory of ours at 32²,
64² and 96² tokens; `--blocks` what blocks of a quarter to four times of their scores
would gain. PyTorch makes blocks of its own.
"""

import argparse
import contextlib
import json
import os

from benchmarks.processes import best, in_child, peak, show

MODULE = "benchmarks.attention"
# Side, channels, width and window of the levels, as the paper has them.
LEVELS = {1: (64, 40, 128, 11), 2: (32, 72, 256, 7), 3: (16, 200, 512, 5)}
BLOCKS, HEADS = 4, 8
KINDS = ("naive", "fast")


def flops(level, batch):
    """Floating-point operations of a forward pass, of products alone."""
    side, channels, dim, window = LEVELS[level]
    tokens = side * side
    of_reference = 3 * dim * dim / batch  # keys of MLKA, keys and values of LCA
    dense = 5 * dim * dim + 2 * 4 * dim * dim + of_reference
    attention = 2 * dim * (tokens - window**2) + 2 * dim * window**2
    embedding = channels * dim * (2 + 1 / batch)
    return 2 * batch * tokens * (BLOCKS * (dense + attention) + embedding)


def measure(level, batch, repeat, kind, side=None):
    """Seconds of a train step and of a forward pass, and memory; in this process."""
    import keras
    import numpy as np

    from benchmarks.naive import naive
    from keras_rlr import FeatureReconstructor
    from keras_rlr.losses import ReconstructionLoss

    own_side, channels, dim, window = LEVELS[level]
    side = side or own_side
    shape = (batch, side, side, channels)
    features = np.random.default_rng(0).normal(size=shape).astype("float32")
    tiny = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    tiny.compile(keras.optimizers.Adam(1e-4), "mse")
    tiny.train_on_batch(np.zeros((2, 4)), np.zeros((2, 4)))
    base = peak()
    with naive() if kind == "naive" else contextlib.nullcontext():
        inputs = keras.Input(batch_shape=shape)
        model = keras.Model(inputs, FeatureReconstructor(dim, window, seed=0)(inputs))
        model.compile(keras.optimizers.Adam(1e-4), ReconstructionLoss())
        step = best(lambda: float(model.train_on_batch(features, features)), repeat)
        memory = peak() - base
        forward = best(lambda: model.predict_on_batch(features), repeat)
    return {"step": step, "forward": forward, "memory": memory}


def measure_product(repeat):
    """FLOP/s of the product of two large matrices, by the backend."""
    import keras
    import numpy as np
    from keras import ops

    size = 4096
    matrix = ops.convert_to_tensor(np.ones((size, size), "float32"))
    seconds = best(
        lambda: keras.ops.convert_to_numpy(ops.matmul(matrix, matrix)[0, 0]), repeat
    )
    return {"flops": 2 * size**3 / seconds}


def compare(backend, levels, batch, repeat, kinds):
    """Measures and prints the levels, and their sum."""
    product = in_child(MODULE, "0", "product", "--repeat", repeat)["flops"]
    print(f"{backend}: a 4096x4096 product, {product / 1e9:.0f} GFLOP/s", flush=True)
    total = {kind: {"step": 0.0, "forward": 0.0} for kind in kinds}
    for level in levels:
        found = {}
        for kind in kinds:
            alone = kind == "naive" and level == 1
            images = 1 if alone else batch
            result = in_child(
                MODULE, level, kind, "--batch", images, "--repeat", repeat
            )
            found[kind] = {k: v * batch / images for k, v in result.items()}
            for name in total[kind]:
                total[kind][name] += found[kind][name]
            print(f"level {level}, {kind:6}", show(found[kind]), flush=True)
        _ratios(f"level {level}", found, flops(level, batch), product)
    if len(levels) > 1:
        for kind in kinds:
            print(f"all, {kind:6}    ", show(total[kind]))
        every = sum(flops(level, batch) for level in levels)
        _ratios("all", total, every, product)


def _ratios(name, found, forward_flops, product):
    fast = found.get("fast")
    if fast and "naive" in found:
        ratios = "  ".join(f"{k} {found['naive'][k] / v:.2f}" for k, v in fast.items())
        print(f"{name}, naive / fast:  {ratios}")
    if fast:
        # A step has the products of three passes, not counting what is computed anew.
        step = 3 * forward_flops / fast["step"] / product
        forward = forward_flops / fast["forward"] / product
        print(
            f"{name}, of the product's speed:  step {step:.0%}  forward {forward:.0%}"
        )


def growth(backend, repeat):
    """Prints the memory of ours at three grids of level 1's widths."""
    before = None
    for side in (32, 64, 96):
        result = in_child(
            MODULE, 1, "fast", "--batch", 1, "--repeat", repeat, "--side", side
        )
        memory = result["memory"]
        ratio = f", {memory / before:.2f} times the one before" if before else ""
        print(f"{backend}: {side}x{side} tokens, {memory:.0f} MiB{ratio}", flush=True)
        before = memory


def blocks(backend, levels, batch, repeat):
    """Prints seconds and memory by the size of a block, and beside that of the package.

    The package's does not follow from a measurement at the first step: sums over blocks
    differ in their last bits by size, and one seed is to give one result.
    """
    from keras_rlr.layers.loops import scores_at_a_time

    usual = scores_at_a_time()
    for level in levels:
        found = {}
        for scores in (usual // 4, usual // 2, usual, usual * 2, usual * 4):
            words = ("--batch", batch, "--repeat", repeat, "--scores", scores)
            found[scores] = in_child(MODULE, level, "fast", *words)
        for scores, result in found.items():
            step, forward = (
                result[name] / found[usual][name] for name in ("step", "forward")
            )
            print(
                f"{backend}, level {level}, {scores / 2**20:.2f} million scores: "
                f"{show(result)}  step x{step:.2f}  forward x{forward:.2f}",
                flush=True,
            )


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", default="1,2,3")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--blocks", action="store_true")
    parser.add_argument("--side", type=int)
    parser.add_argument("--scores", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=2)
    chosen = parser.parse_args()
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if chosen.child:
        level, kind = chosen.child
        if kind == "product":
            print(json.dumps(measure_product(chosen.repeat)))
        else:
            if chosen.scores:
                from keras_rlr.layers import loops

                loops._SCORES_OF_CPU = chosen.scores
            settings = (chosen.batch, chosen.repeat, kind, chosen.side)
            print(json.dumps(measure(int(level), *settings)))
    elif chosen.growth:
        growth(backend, chosen.repeat)
    elif chosen.blocks:
        levels = map(int, chosen.levels.split(","))
        blocks(backend, levels, chosen.batch, chosen.repeat)
    else:
        levels = [int(level) for level in chosen.levels.split(",")]
        compare(backend, levels, chosen.batch, chosen.repeat, chosen.kinds.split(","))


if __name__ == "__main__":
    main()
