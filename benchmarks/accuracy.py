"""Figures of methods and settings side by side, over seeds.

    python -m benchmarks.accuracy DIR[,DIR…] MODEL [MODEL …] [--seeds 0,1,2]
        [--categories a,b] [--epochs N] [--cache DIR] [--rows FILE] [--keep DIR]
        [--map-size original]

A MODEL is a method, or a method and settings: `rlr`, `patchcore:coreset_ratio=0.1`,
`rlr:preset=rlr_efficientnet_lite2,levels=(2,3)`. One model learns all categories of all
folders. Each run has a process of its own, for its memory; its figures are added to
FILE as a line of JSON, and runs that FILE has already are not made again. The table
has the median over the seeds: image AUROC / pixel AUROC / AUPRO of each category and
their mean, what all images together have, seconds to train, milliseconds an image,
the size of the file, and the process's largest memory. Trained models are kept in the
folder that `--keep` names.
"""

import argparse
import ast
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIGURES = ("image_auroc", "pixel_auroc", "pixel_aupro")


def measure(
    model, folders, categories, seed, epochs, map_size=None, *, cache, keep=None
):
    """Trains and evaluates one model; returns a dict of figures.

    Args:
        model: A method and its settings, see above.
        folders: Folders of data sets.
        categories: Names, or None for all.
        seed: Seed of the model.
        epochs: Passes, or None for the recipe's; a method of one pass has its one.
        map_size: See `keras_rlr.evaluation.evaluate_model`.
        cache: Folder of the feature cache.
        keep: Folder to keep the trained model in, or None.
    """
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.detectors.one_pass_detector import OnePassDetector
    from keras_rlr.detectors.save_model import save_without_optimizer
    from keras_rlr.evaluation import evaluate_model
    from keras_rlr.methods.by_name import METHODS

    name, _, text = model.partition(":")
    call = ast.parse(f"f({text})", mode="eval").body
    settings = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    method = METHODS[name]
    preset = settings.pop("preset", method.preset_for("efficientnet_lite2"))
    detector = method.from_preset(preset, seed=seed, **settings)

    def images(split):
        parts = [FolderDataset(f, split, categories=categories) for f in folders]
        return parts[0] if len(parts) == 1 else _Chain(parts)

    began = time.monotonic()
    options = {"feature_cache": cache} if detector.profits_from_cache else {}
    if not isinstance(detector, OnePassDetector):
        options["epochs"] = epochs
    detector.fit(images("train"), verbose=0, **options)
    trained = time.monotonic()
    test = images("test")
    results = evaluate_model(detector, test, map_size=map_size)
    tested = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(keep or folder, f"{model}_{seed}.keras".replace("/", "_"))
        path.parent.mkdir(exist_ok=True)
        save_without_optimizer(detector, path)
        size = path.stat().st_size
    rows = {**results["categories"], "mean": results["mean"]}
    rows["together"] = results["pooled"]
    return {
        **{row: [100 * rows[row][figure] for figure in FIGURES] for row in rows},
        "seconds": trained - began,
        "ms": 1000 * (tested - trained) / len(test),
        "MiB": size / 2**20,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


class _Chain:
    """Data sets one behind the other."""

    def __init__(self, parts):
        self.parts = parts

    def __len__(self):
        return sum(map(len, self.parts))

    def __getitem__(self, index):
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


def main(arguments):
    """Makes the runs that are missing and prints the table."""
    known = {}
    if arguments.rows.is_file():
        for line in arguments.rows.read_text().splitlines():
            known.update({json.dumps(json.loads(line)["run"]): json.loads(line)})
    by_model = {}
    for model in arguments.models:
        for seed in map(int, arguments.seeds.split(",")):
            run = [model, arguments.folders, arguments.categories, seed]
            run.append(arguments.epochs)
            # Only then, so that rows of before are still known.
            run += [arguments.map_size] if arguments.map_size else []
            if json.dumps(run) not in known:
                known[json.dumps(run)] = _in_a_process(run, arguments)
            by_model.setdefault(model, []).append(known[json.dumps(run)]["figures"])
    rows = list(next(iter(by_model.values()))[0])
    rows = [row for row in rows if row not in ("seconds", "ms", "MiB", "peak")]
    print(f"| model | seeds | {' | '.join(rows)} | s | ms | MiB | peak MiB |")
    print("|---" * (len(rows) + 6) + "|")
    for model, runs in by_model.items():
        cells = [
            "/".join(
                f"{statistics.median(run[row][i] for run in runs):.1f}"
                for i in range(len(FIGURES))
            )
            for row in rows
        ]
        rest = {
            key: statistics.median(run[key] for run in runs)
            for key in ("seconds", "ms", "MiB", "peak")
        }
        cells += [f"{rest[key]:.0f}" for key in ("seconds", "ms")]
        cells += [f"{rest['MiB']:.1f}", f"{rest['peak']:.0f}"]
        print(f"| {model} | {len(runs)} | {' | '.join(cells)} |")


def _in_a_process(run, arguments):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.accuracy"),
            *("--one", json.dumps(run), "--cache", str(arguments.cache)),
            *(["--keep", arguments.keep] if arguments.keep else []),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    row = {"run": run, "figures": json.loads(done.stdout.splitlines()[-1])}
    with open(arguments.rows, "a") as file:
        file.write(json.dumps(row) + "\n")
    print(run[0], "seed", run[3], row["figures"]["mean"], file=sys.stderr)
    return row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("folders", nargs="?")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--categories")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--cache", default="feature_cache")
    parser.add_argument("--keep")
    parser.add_argument("--map-size", choices=["model", "original"])
    parser.add_argument("--rows", type=Path, default=Path("accuracy.jsonl"))
    parser.add_argument("--one", type=json.loads)
    given = parser.parse_args()
    if given.one is None:
        main(given)
    else:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        model, folders, categories, *rest = given.one
        names = categories and categories.split(",")
        figures = measure(
            *(model, folders.split(","), names, *rest),
            cache=given.cache,
            keep=given.keep,
        )
        print(json.dumps(figures))
