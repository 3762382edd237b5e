"""All that one GPU can show of the paper's model, in under eight minutes.

    python -m benchmarks.gpu [--backends torch,jax] [--json FILE]
    python -m benchmarks.gpu --small --device cpu

The model is the paper's: EfficientNet-B6, levels 1, 2 and 3, images of 256x256. Weights
and images are random, since nothing is downloaded: a rate does not depend on them, and
agreement is that of the same weights. Printed are, of each backend in float32,
mixed_bfloat16 and mixed_float16:

- images a second of train steps, on images and on kept features (what `feature_cache`
  trains on), and of prediction: of all levels, of each alone, and of the default
  recipe's model ("fused"). Batches are on the device. The first steps, with compiling,
  are stated apart. Steps are many, and the device has done all when the clock stops;
- the same of `fit` itself, with what the host does, and of filling a feature cache;
- peak device memory, and the largest batch by doubling;
- how far maps and scores are from those of the CPU in float32;
- data parallelism on one device;
- the projected time of training on MVTec AD: the paper's recipe and the default one.

Every backend and precision is a process of its own. The time is shared out: what did
not fit is named, and so is all else that has no figures, with the reason. JAX compiles
much: with JAX_COMPILATION_CACHE_DIR set, a second run gets further. Exit code 2 if
there is no GPU, 1 if something failed.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import gpu_jobs, gpu_report

ROOT = Path(__file__).parents[1]
# What children print that is meant for the parent.
MARK = "@@ "
_PROBES = {
    "torch": "import torch; print(torch.cuda.is_available())",
    "jax": "import jax; print(jax.default_backend() not in ('cpu', 'tpu'))",
    "tensorflow": (
        "import tensorflow as tf; print(bool(tf.config.list_physical_devices('GPU')))"
    ),
}


def environment(backend, device):
    """Returns the variables of a child process.

    Args:
        backend: Of Keras.
        device: "gpu" or "cpu".
    """
    found = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    # Keras imports no TensorFlow on the other backends.
    found["KERAS_RLR_OWN_PROCESS"] = "1"
    # Memory is taken as it is needed, so that one peak says what was; JAX's default
    # limit is three quarters of the device.
    found.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    found.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.92")
    found.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if device == "cpu":
        found.update(CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu")
    return found


def probe(backends):
    """Returns why a backend can't be measured on a GPU, by backend; None where it can.

    All are asked at the same time, without Keras, which takes longer.

    Args:
        backends: Names.
    """
    asked = {
        backend: subprocess.Popen(
            [sys.executable, "-c", _PROBES[backend]],
            env=environment(backend, "gpu"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in backends
    }
    reasons = {}
    for backend, process in asked.items():
        output, errors = process.communicate()
        name = gpu_report.NAMES[backend]
        if process.returncode:
            last = (errors.strip().splitlines() or ["it says nothing"])[-1]
            reasons[backend] = f"{name} can't be imported: {last}"
        elif output.split()[-1:] != ["True"]:
            reasons[backend] = f"{name} sees no GPU"
        else:
            reasons[backend] = None
    return reasons


def run_job(job, tell):
    """Runs a job in a process of its own, and tells what it does.

    Args:
        job: What `gpu_jobs` made, with "until", the time when it is ended.
        tell: Function that is given what `gpu_cells.run` emits.

    Returns:
        None, or why the process did not come to its end.
    """
    command = [sys.executable]
    if job["role"] == "distribution" and job["backend"] == "torch":
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", "1"]
    command += ["-m", "benchmarks.gpu", "--child", json.dumps(job)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(job["backend"], job["device"]),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        with gpu_jobs.ended_at(process, job["until"]) as was_ended:
            for line in process.stdout:
                if line.startswith(MARK):
                    tell(json.loads(line[len(MARK) :]))
            code = process.wait()
        if code and was_ended():
            return "the time was up"
        if code:
            errors.seek(0)
            lines = errors.read().strip().splitlines() or ["it says nothing"]
            return f"its process ended with {code}: {lines[-1][:300]}"
    return None


def measure(chosen, folder, results):
    """Runs all jobs, one after the other, each with its share of the time.

    Args:
        chosen: The options of the command line.
        folder: Of the reference.
        results: `gpu_report.Results`.
    """
    end = time.time() + chosen.budget
    # Of what is not asked for, TensorFlow alone is of interest: its MirroredStrategy.
    asked = [*chosen.backends]
    if "tensorflow" not in asked and chosen.distribution:
        asked.append("tensorflow")
    reasons = {
        backend: None if importlib.util.find_spec(backend) else "it is not installed"
        for backend in asked
    }
    if chosen.device == "gpu":
        reasons = probe(asked)
        if all(reasons[backend] for backend in chosen.backends):
            words = "; ".join(reasons[backend] for backend in chosen.backends)
            sentence = f"There is no GPU to measure: {words}. Run it where one is, or "
            print(f"{sentence}try it with --device cpu --small.", file=sys.stderr)
            raise SystemExit(2)
    there = [backend for backend in chosen.backends if reasons[backend] is None]
    reference = (there or chosen.backends)[0]
    jobs = gpu_jobs.plan(chosen, asked, reference, str(folder))
    for number, job in enumerate(jobs):
        reason = reasons[job["backend"]]
        began = time.time()
        job["until"] = gpu_jobs.deadline(jobs[number:], began, end)
        told = results.job(job)
        if reason is None and job["until"] <= began:
            reason = "the time was up"
        if reason is None:
            reason = run_job(job, told.tell)
        told.end(reason)


def main(arguments=None):
    """Runs what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default="torch,jax", type=_names)
    parser.add_argument("--dtypes", default=",".join(gpu_jobs.DTYPES), type=_names)
    parser.add_argument("--models", default=",".join(gpu_jobs.MODELS), type=_names)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--small", action="store_true", help="a tiny model, to try it")
    parser.add_argument("--budget", type=float, default=450, help="seconds in all")
    parser.add_argument("--seconds", type=float, help="that a cell is timed for")
    parser.add_argument("--no-distribution", dest="distribution", action="store_false")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        from benchmarks import gpu_cells

        gpu_cells.run(
            json.loads(chosen.child),
            lambda told: print(MARK + json.dumps(told), flush=True),
        )
        return 0
    for name, known in (
        ("backends", _PROBES),
        ("dtypes", gpu_jobs.DTYPES),
        ("models", gpu_jobs.MODELS),
    ):
        if wrong := set(getattr(chosen, name)) - set(known):
            parser.error(f"--{name} are of {', '.join(known)}; not {', '.join(wrong)}")
    if chosen.json and not chosen.json.absolute().parent.is_dir():
        parser.error(f"there is no folder for '{chosen.json}'")
    results = gpu_report.Results(chosen)
    results.print_head()
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(chosen, Path(folder), results)
    finally:
        if results.cells and chosen.json:
            results.write(chosen.json)
    results.print_summary()
    return 1 if results.failed else 0


def _names(text):
    return [name.strip() for name in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
