"""Kills trainings at random moments and compares them, resumed, with a whole one.

    python scripts/kill_and_resume.py [--times 20] [--seed 0] [--folder DIR]
        [--checkpoint-every STEPS] [--processes N]

Each training is `keras-rlr train` on painted products, with a feature cache on disk
that is new every time, so that kills fall on the start, on the building of the cache,
on training and on checkpoints. It is killed (SIGKILL) after a random share of the time
that the undisturbed one took, and resumed until it is done; every other try is killed
twice. With --checkpoint-every the tries have checkpoints inside of their epochs, and
begin with a cache that is full, so that kills fall on those. With --processes (JAX and
PyTorch) so many train together; one of them is killed, and the others have to notice,
but for those that it had not met yet: they are ended as a launcher ends them.
Prints a line a try; exits with 1 if the weights of any, or the losses in its history,
differ in a bit.
"""

import argparse
import csv
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import keras

from keras_rlr.datasets import write_procedural_dataset

WAIT_FOR_OTHERS = 30  # seconds
SETTINGS = [
    *("--backbone", "efficientnet_lite2", "--hidden-dims", "32", "--image-size", "128"),
    *("--epochs", "4", "--batch-size", "8", "--seed", "0"),
]


def command(data, run, *more):
    """The words of a training with a cache beside its run."""
    words = [sys.executable, "-m", "keras_rlr_command", "train", "--data", data]
    cache = run.with_name(f"{run.name}-cache")
    return [*words, "--output", run, "--feature-cache", cache, *more]


def variables_of(count):
    """What the environment of each process says, if there are several."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for number in map(str, range(count)):
        if count == 1:
            yield {}
        elif keras.backend.backend() == "jax":
            yield {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
                "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
                "KERAS_DISTRIBUTION_PROCESS_ID": number,
            }
        else:
            of_all = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            yield {**of_all, "RANK": number, "WORLD_SIZE": str(count)}


def train(words, count, seconds=None):
    """Runs a training; returns whether it got to its end.

    Args:
        words: Of its command.
        count: Number of processes.
        seconds: After which the last of them is killed, or None.
    """
    with tempfile.TemporaryFile() as errors:
        processes = [
            subprocess.Popen(
                list(map(str, words)),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, **variables},
            )
            for variables in variables_of(count)
        ]
        try:
            # The others end by themselves, whatever becomes of the last.
            processes[-1].wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            processes[-1].kill()
        if processes[-1].wait() == -signal.SIGKILL:
            for process in processes[:-1]:
                try:
                    process.wait(timeout=WAIT_FOR_OTHERS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            return False
        codes = [process.wait() for process in processes]
        if any(codes):
            errors.seek(0)
            raise SystemExit(f"The training failed:\n{errors.read().decode()}")
        return True


def weights(run):
    """The bytes of a run's weights, thresholds among them."""
    with zipfile.ZipFile(run / "model.keras") as file:
        return file.read("model.weights.h5")


def losses(run):
    """The losses of a run's epochs, as they are written."""
    with (run / "history.csv").open(newline="") as file:
        return [row["loss"] for row in csv.DictReader(file)]


def state(run):
    """What a killed training had come to, in words."""
    if (run / "model.keras").exists():
        return "at its end"
    numbers = [int(path.stem.split("-")[1]) for path in run.glob("checkpoint-*.keras")]
    if numbers:
        return f"after step {max(numbers)}"
    if (run / "history.csv").exists():
        return f"after {len(losses(run))} epochs"
    if (run / "checkpoint.keras").exists():
        return "in epoch 1"
    cache = run.with_name(f"{run.name}-cache")
    return "building the cache" if any(cache.glob("*/*")) else "before the cache"


def kill_and_resume(data, run, settings, times, generator, whole, count):
    """Trains to the end, killed on the way; returns what it had come to each time.

    Args:
        data: The data set.
        run: The run's folder.
        settings: Words of the settings of a new run.
        times: How often it is killed at most.
        generator: Draws the moments.
        whole: Seconds of a training that is not disturbed.
        count: Number of processes.
    """
    kills = []
    for left in range(times, -1, -1):
        resume = ["--resume"] if (run / "config.json").exists() else settings
        seconds = generator.uniform(0.2, 0.95) * whole if left else None
        if train(command(data, run, *resume), count, seconds):
            break
        kills.append(state(run))
    return kills


def main():
    """Makes all tries and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=60, help="of each product")
    parser.add_argument(
        "--folder", type=Path, help="where to work [default: a new one]"
    )
    parser.add_argument("--checkpoint-every", type=int, metavar="STEPS")
    parser.add_argument("--processes", type=int, default=1, metavar="N")
    chosen = parser.parse_args()
    every, count = chosen.checkpoint_every, chosen.processes
    settings = [*SETTINGS, "--checkpoint-every", every] if every else SETTINGS
    generator = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        work = Path(name)
        data = write_procedural_dataset(
            work / "data", image_size=128, train_per_category=chosen.images,
            categories=["gear", "wood"],
        )  # fmt: skip

        def begin(run):
            shutil.rmtree(run, ignore_errors=True)
            cache = run.with_name(f"{run.name}-cache")
            shutil.rmtree(cache, ignore_errors=True)
            if every:
                shutil.copytree(work / "whole-cache", cache)
            return run

        began = time.monotonic()
        train(command(data, work / "whole", *SETTINGS), count)
        if every:
            began = time.monotonic()
            train(command(data, begin(work / "run0"), *SETTINGS), count)
        whole = time.monotonic() - began
        expected = weights(work / "whole"), losses(work / "whole")
        print(f"undisturbed: {whole:.1f} s", flush=True)
        equal = 0
        for number in range(1, chosen.times + 1):
            run = begin(work / f"run{number}")
            times = 1 + number % 2
            kills = []
            while not kills:
                kills = kill_and_resume(
                    data, run, settings, times, generator, whole, count
                )
                if not kills:
                    # The machine has become quicker: without a kill it shows nothing.
                    whole *= 0.8
                    begin(run)
            same = (weights(run), losses(run)) == expected
            equal += same
            print(
                f"{number}: killed {', '.join(kills)}: equal {same}",
                flush=True,
            )
            shutil.rmtree(run)
        print(f"{equal} of {chosen.times} equal to the last bit")
    return 0 if equal == chosen.times else 1


if __name__ == "__main__":
    sys.exit(main())
