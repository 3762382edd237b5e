"""What `benchmarks/gpu.py` measures, in which order, and until when."""

import contextlib
import os
import signal
import subprocess
import threading
import time

DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")
MODELS = ("all", "fused", "3", "2", "1")
# Images a step: the paper's recipe, the default one, and where a GPU has enough to do.
PAPER_BATCH, DEFAULT_BATCH, LARGE_BATCH = 4, 8, 32
# The first search of a batch ends here even where there is memory for more.
_LARGEST = 512
# Kept for what comes last, so that it is never left out for the sake of more of the
# same: seconds of a job on data parallelism.
_OF_DISTRIBUTION = 30
_WORDS = {
    "agreement": "agreement with the CPU",
    "predict": "predict",
    "train_features": "train on kept features",
    "train_images": "train on images",
    "extract": "fill a feature cache",
    "fit_features": "fit on kept features, with the host's work",
    "fit_images": "fit on images, with the host's work",
    "largest_train": "largest batch, train on kept features",
    "largest_predict": "largest batch, predict",
    "distribution": "data parallelism on one device, train on kept features",
}
_OF_MODELS = {"all": "all levels", "fused": "levels fused"}


def cell(kind, model, batch):
    """Returns a cell: what is measured, of which model, with how many images."""
    words = f"{_OF_MODELS.get(model, f'level {model}')}, {_WORDS[kind]}"
    if kind not in ("agreement", "extract") and not kind.startswith("largest"):
        words += f", batch {batch}"
    return {"name": words, "kind": kind, "model": model, "batch": batch}


def cells(models, small=False, device="gpu"):
    """Returns the cells of a backend and precision, the most telling first.

    Args:
        models: Of `MODELS`, those that are wanted.
        small: Whether batches are small too.
        device: "gpu" or "cpu", whose memory is not to be used up.
    """
    large = 6 if small else LARGE_BATCH
    largest = 16 if small or device == "cpu" else _LARGEST
    found = [
        cell("agreement", "all", 2),
        cell("predict", "all", large),
        cell("train_features", "all", PAPER_BATCH),
        cell("train_images", "all", PAPER_BATCH),
        cell("extract", "all", 4),
        cell("fit_features", "all", PAPER_BATCH),
        cell("train_features", "fused", DEFAULT_BATCH),
        cell("predict", "fused", large),
    ]
    for level in ("3", "2", "1"):
        found += [
            cell("predict", level, large),
            cell("train_features", level, PAPER_BATCH),
            cell("train_images", level, PAPER_BATCH),
        ]
    found += [
        cell("train_features", "all", large),
        cell("largest_train", "all", largest),
        cell("largest_predict", "all", largest),
        cell("fit_images", "all", PAPER_BATCH),
    ]
    # "all" comes back last, so a level's model is built once.
    return [one for one in found if one["model"] in models]


def plan(chosen, backends, reference, folder):
    """Returns the jobs, each of which is a process.

    Precisions one after the other, and within one the backends: what the first ones
    leave of their time goes to those behind.

    Args:
        chosen: The options of the command line.
        backends: Those of `chosen`, and others whose data parallelism is measured.
        reference: The backend whose maps on the CPU are compared with.
        folder: Of the reference.
    """
    seconds = chosen.seconds or (0.05 if chosen.small else 1.0)
    shared = {
        "small": chosen.small,
        "device": chosen.device,
        "seconds": seconds,
        "folder": folder,
    }
    jobs = []
    if "all" in chosen.models:
        job = {"role": "reference", "backend": reference, "dtype": "float32"}
        jobs.append({**job, "cells": []})
    for dtype in chosen.dtypes:
        for backend in chosen.backends:
            job = {"role": "cells", "backend": backend, "dtype": dtype}
            of_job = cells(chosen.models, chosen.small, chosen.device)
            jobs.append({**job, "cells": of_job})
    if chosen.distribution:
        # The least model, of which what is around a step is the largest part.
        of_all = [cell("distribution", "3", DEFAULT_BATCH)]
        for backend in backends:
            job = {"role": "distribution", "backend": backend, "dtype": "float32"}
            jobs.append({**job, "cells": of_all})
    jobs = [{**shared, **job} for job in jobs]
    for job in jobs:
        # It is of the CPU, whatever the others run on.
        if job["role"] == "reference":
            job["device"] = "cpu"
    return jobs


def deadline(jobs, now, end):
    """Returns until when the first of the jobs that are left may run.

    Args:
        jobs: Those that are left.
        now: The time.
        end: When all are to be done.
    """
    if jobs[0]["role"] == "reference":
        return now + (end - now) / 4
    if jobs[0]["role"] == "distribution":
        return now + (end - now) / len(jobs)
    measuring = sum(job["role"] == "cells" for job in jobs)
    kept = min(_OF_DISTRIBUTION * (len(jobs) - measuring), (end - now) / 3)
    return now + (end - now - kept) / measuring


@contextlib.contextmanager
def ended_at(process, until):
    """Ends a process and those it started at a time, or where the block fails.

    Args:
        process: A `Popen` that leads a session of its own.
        until: The time.

    Yields:
        A function that says whether it was ended for the time.
    """
    reached = threading.Event()

    def end():
        reached.set()
        _kill(process)

    timer = threading.Timer(max(0.0, until - time.time()), end)
    timer.daemon = True
    timer.start()
    try:
        yield reached.is_set
    except BaseException:
        _kill(process)
        raise
    finally:
        timer.cancel()


def _kill(process):
    # First a word: torchrun's processes are no part of its session, and it ends them
    # itself.
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
