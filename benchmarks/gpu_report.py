"""What `benchmarks/gpu.py` prints and writes."""

import json
import os
import time
from datetime import UTC, datetime

from benchmarks import gpu_jobs

NAMES = {"torch": "PyTorch", "jax": "JAX", "tensorflow": "TensorFlow"}
_DTYPES = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
# MVTec AD's training images, and the epochs of the paper and of the default recipe.
_IMAGES, _PAPER_EPOCHS, _DEFAULT_EPOCHS = 3629, 200, 15
# How far float32 with exact products may be from the CPU, of the largest value.
AGREES_TO = 1e-3


class Results:
    """All that was measured, and all that was not.

    Args:
        chosen: The options of the command line.
    """

    def __init__(self, chosen):
        self.chosen = chosen
        self.environments = {}
        self.cells = []
        self.left_out = []
        self.failed = False
        self.began = time.time()
        self.when = datetime.now(UTC).isoformat(timespec="seconds")

    def print_head(self):
        """Says what is measured."""
        size = "a tiny model" if self.chosen.small else "EfficientNet-B6"
        print(
            f"{size}, random weights (nothing is downloaded), random images; "
            f"at most {self.chosen.budget:.0f} s",
            flush=True,
        )

    def job(self, job):
        """Returns what takes the words of a job."""
        return JobResults(self, job)

    def add(self, job, cell, figures):
        """Keeps and prints the figures of a cell."""
        where = {"backend": job["backend"], "dtype": job["dtype"], "cell": cell["name"]}
        kind = {"kind": cell["kind"], "model": cell["model"], "batch": cell["batch"]}
        self.cells.append({**where, **kind, "figures": figures})
        print(f"{_place(job)} {cell['name']}: {in_words(figures, job)}", flush=True)

    def leave_out(self, job, names, reason):
        """Keeps and prints why there are no figures of some cells."""
        self.failed = self.failed or reason.startswith(("failed", "its process"))
        where = {"backend": job["backend"], "dtype": job["dtype"]}
        self.left_out += [{**where, "cell": name, "reason": reason} for name in names]
        words = "; ".join(names)
        print(f"{_place(job)} NOT MEASURED ({reason}): {words}", flush=True)

    def figure(self, backend, dtype, kind, model, batch=None):
        """Returns images a second of a cell, or None."""
        for one in self.cells:
            place = (one["backend"], one["dtype"], one["kind"], one["model"])
            if place == (backend, dtype, kind, model) and batch in (None, one["batch"]):
                return one["figures"].get("images_per_second")
        return None

    def projections(self):
        """Returns the projected times of training on MVTec AD, a list of dicts."""
        found = []
        for backend in self.chosen.backends:
            for dtype in self.chosen.dtypes:
                place = (backend, dtype)
                fill = self.figure(*place, "extract", "all")
                fit = self.figure(*place, "fit_features", "all")
                step = self.figure(
                    *place, "train_features", "all", gpu_jobs.PAPER_BATCH
                )
                images = self.figure(*place, "train_images", "all")
                fused = self.figure(*place, "train_features", "fused")
                for words, rate, epochs, first in (
                    ("paper's recipe, fit on kept features", fit, _PAPER_EPOCHS, fill),
                    (
                        "paper's recipe, steps on kept features",
                        step,
                        _PAPER_EPOCHS,
                        fill,
                    ),
                    ("paper's recipe, steps on images", images, _PAPER_EPOCHS, None),
                    (
                        "default recipe, steps on kept features",
                        fused,
                        _DEFAULT_EPOCHS,
                        fill,
                    ),
                ):
                    minutes = None
                    kept = "kept" in words
                    if rate and (first or not kept):
                        seconds = _IMAGES * epochs / rate
                        minutes = (seconds + (_IMAGES / first if kept else 0)) / 60
                    found.append(
                        {
                            "backend": backend,
                            "dtype": dtype,
                            "what": words,
                            "minutes": minutes,
                        }
                    )
        return found

    def print_summary(self):
        """Prints projections, and what is missing."""
        print(
            f"\nProjected, not run: training on MVTec AD ({_IMAGES} images; the "
            f"paper's recipe {_PAPER_EPOCHS} epochs in batches of "
            f"{gpu_jobs.PAPER_BATCH}, the default one {_DEFAULT_EPOCHS} in batches of "
            f"{gpu_jobs.DEFAULT_BATCH}), with filling the cache, without reading "
            "files, selecting a bank and tests:"
        )
        if self.chosen.small:
            print("(of a tiny model: these minutes say nothing of the paper's)")
        for one in self.projections():
            minutes = one["minutes"]
            words = "a rate is missing" if minutes is None else f"{minutes:.1f} min"
            print(f"{_place(one)} {one['what']}: {words}")
        count = len(self.left_out)
        seconds = time.time() - self.began
        print(
            f"\n{len(self.cells)} cells measured, {count} not (named above), in "
            f"{seconds:.0f} s.",
            flush=True,
        )

    def write(self, file):
        """Writes all of it as JSON, whole or not at all."""
        content = {
            "when": self.when,
            "seconds": time.time() - self.began,
            "small": self.chosen.small,
            "device": self.chosen.device,
            "weights": "random",
            "environments": self.environments,
            "measured": self.cells,
            "not_measured": self.left_out,
            "projected_minutes": self.projections(),
        }
        partial = file.with_name(f".{file.name}.partial")
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, file)


class JobResults:
    """Takes the words of one job.

    Args:
        results: `Results`.
        job: The job.
    """

    def __init__(self, results, job):
        self.results = results
        self.job = job
        self.left = {cell["name"]: cell for cell in job["cells"]}
        self.current = None

    def tell(self, told):
        """Takes what `gpu_cells.run` emits, a dict."""
        if "environment" in told:
            key = f"{self.job['role']} {_place(self.job)}"
            self.results.environments[key] = told["environment"]
            if self.job["role"] == "cells":
                devices = ", ".join(told["environment"]["devices"])
                print(f"{_place(self.job)} on {devices}", flush=True)
        elif "begins" in told:
            self.current = told["begins"]
        elif told.get("cell") in self.left:
            cell = self.left.pop(told["cell"])
            self.current = None
            if "figures" in told:
                self.results.add(self.job, cell, told["figures"])
            else:
                self.results.leave_out(self.job, [cell["name"]], told["reason"])

    def end(self, reason):
        """Names the cells that have no figures.

        Args:
            reason: Why the process did not come to its end, or None.
        """
        if self.job["role"] == "reference" and reason:
            self.results.leave_out(self.job, ["maps of the CPU"], reason)
        words = reason or "the time was up"
        if self.current in self.left:
            del self.left[self.current]
            in_it = f"{words}, in the midst of it"
            self.results.leave_out(self.job, [self.current], in_it)
        if self.left:
            self.results.leave_out(self.job, list(self.left), words)


def in_words(figures, job):
    """Returns the figures of a cell as a line.

    Args:
        figures: The dict of it.
        job: What it is a part of.
    """
    words = []
    if "images_per_second" in figures:
        words.append(f"{figures['images_per_second']:.1f} images/s")
    if "milliseconds_a_step" in figures:
        words.append(f"{figures['milliseconds_a_step']:.2f} ms a step")
    if "compiling_seconds" in figures:
        words.append(f"compiling {figures['compiling_seconds']:.1f} s")
    for products, meaning in (("exact", "exact"), ("usual", "the backend's own")):
        if f"anomaly_map_{products}" in figures:
            far = [figures[f"anomaly_{key}_{products}"] for key in ("map", "score")]
            words.append(
                f"maps and scores within {far[0]:.1e} and {far[1]:.1e} of the CPU's "
                f"largest, {meaning} products{_verdict(far, products, job)}"
            )
    if "largest_batch" in figures:
        reasons = {
            "memory": "twice as many are out of memory",
            "limit": "more were not tried",
            "time": "then the time was up",
        }
        words.append(f"{figures['largest_batch']}: {reasons[figures['ended_by']]}")
        rates = figures["rates"].items()
        words.append(", ".join(f"{n}: {rate:.0f} images/s" for n, rate in rates))
    if "times_plain" in figures:
        words.append(f"{figures['times_plain']:.2f} times the plain step's rate")
        losses = (figures["first_loss"], figures["first_loss_plain"])
        words.append("first losses {:.6g} and {:.6g}".format(*losses))
    if "peak_mib" in figures:
        at_most = "at most " if figures.get("peak_is_at_most") else ""
        words.append(f"peak memory {at_most}{figures['peak_mib']:.0f} MiB")
    elif job["device"] == "gpu":
        words.append("peak memory not measured: the backend does not tell")
    else:
        words.append("peak memory not measured: not on a CPU")
    return "; ".join(words)


def _verdict(far, products, job):
    if job["dtype"] != "float32" or products != "exact":
        return ""
    return f" ({'' if max(far) <= AGREES_TO else 'NOT '}within {AGREES_TO:g})"


def _place(job):
    dtype = _DTYPES.get(job["dtype"], job["dtype"])
    return f"{NAMES[job['backend']]:10} {dtype:8}"
