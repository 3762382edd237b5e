"""Trains the seven rows of the paper's table 3 on one data set and compares them.

    python scripts/measure_ablation.py --data DIR [--output FILE] [--epochs 10]
        [--hidden-dim 256] [--seeds 3] [--dtype-policy float32]

What every row shares: EfficientNet-Lite2 features of level 3, standardised, taken
once; Adam 2e-4 with beta 2 of 0.95 in batches of 8, noise 4, four blocks; the last
epoch. Each (row, seed) is a line of FILE, a CSV; lines that are there are not measured
again. The end compares the orderings the paper claims with the spread of the seeds.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import keras
import numpy as np

from keras_rlr import RLR, FeatureReconstructor
from keras_rlr.datasets import FolderDataset
from keras_rlr.evaluation.evaluate_model import measure
from keras_rlr.evaluation.paper_tables import PAPER_TABLES
from keras_rlr.evaluation.test_predictions import TestPredictions
from keras_rlr.inputs.masks import to_square_mask
from keras_rlr.layers import AnomalyMap, AnomalyScore, FeaturePerturbation
from keras_rlr.losses import ReconstructionLoss

ROWS = PAPER_TABLES[3].rows
CLAIMS = (
    ("cross-attention", "cross-attention, residual"),
    ("LCA", "cross-attention"),
    *(("MLKA + LCA", row) for row in ROWS if row != "MLKA + LCA"),
)
FIGURES = ("image_auroc", "pixel_auroc", "pixel_aupro")


def features_and_truth(data):
    """Training features, test features, and predictions yet without maps."""
    model = RLR.from_preset("rlr_efficientnet_lite2", seed=0)
    train, test = FolderDataset(data, "train"), FolderDataset(data, "test")
    model.adapt(train)
    (fitted,), (tested,) = (model.extract_features(part) for part in (train, test))
    size = model.image_size
    labels = np.array([sample.label for sample in test.samples], bool)
    truth = TestPredictions(
        labels=labels,
        scores=np.zeros(len(test), "float32"),
        categories=np.array([s.category for s in test.samples], object),
        maps=np.zeros((len(test), size, size), "float32"),
        masks=np.stack(
            [to_square_mask(test[i]["mask"], size) for i in range(len(test))]
        ),
    )
    return fitted, tested, truth


def train(features, row, seed, arguments):
    """Trains a reconstructor; returns it and the loss of the last epoch."""
    keras.utils.set_random_seed(seed)
    clean = keras.Input(features.shape[1:])
    noisy = FeaturePerturbation(scale=4.0, seed=seed)(clean)
    reconstructor = FeatureReconstructor(
        arguments.hidden_dim, window=5, seed=seed, **ROWS[row]
    )
    model = keras.Model(clean, reconstructor(noisy))
    optimizer = keras.optimizers.Adam(2e-4, beta_2=0.95, epsilon=1e-8)
    model.compile(optimizer, loss=ReconstructionLoss())
    history = model.fit(
        features, features, batch_size=8, epochs=arguments.epochs, verbose=0
    )
    return reconstructor, history.history["loss"][-1]


def evaluate(reconstructor, features, truth):
    """Returns the mean figures of a reconstructor on the test features."""
    anomaly_map = AnomalyMap(truth.maps.shape[1:])
    anomaly_score = AnomalyScore()
    for start in range(0, len(features), 16):
        part = features[start : start + 16]
        maps = anomaly_map([part], [reconstructor(part)])
        truth.maps[start : start + 16] = keras.ops.convert_to_numpy(maps)
        scores = keras.ops.convert_to_numpy(anomaly_score(maps))
        truth.scores[start : start + 16] = scores
    return measure(truth)["mean"]


def read(file):
    """The lines of the CSV."""
    if not file.is_file():
        return []
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def main():
    """Measures what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/ablation.csv"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--hidden-dim", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dtype-policy", default="float32")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["row"], int(line["seed"])) for line in read(arguments.output)}
    left = [
        (row, seed)
        for seed in range(arguments.seeds)
        for row in ROWS
        if (row, seed) not in done
    ]
    keras.config.set_dtype_policy(arguments.dtype_policy)
    if left:
        fitted, tested, truth = features_and_truth(arguments.data)
    for row, seed in left:
        began = time.monotonic()
        reconstructor, loss = train(fitted, row, seed, arguments)
        seconds = time.monotonic() - began
        mean = evaluate(reconstructor, tested, truth)
        line = {
            "row": row,
            "seed": seed,
            "loss": f"{loss:.5f}",
            **{name: f"{mean[name]:.5f}" for name in FIGURES},
            "seconds": f"{seconds:.0f}",
        }
        new = not arguments.output.is_file()
        with arguments.output.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, list(line), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(line)
        print(line, flush=True)
    summarize(read(arguments.output))


def summarize(lines):
    """Prints mean and spread of each row, and which claims show beyond it."""
    values = {
        row: {
            figure: [100 * float(x[figure]) for x in lines if x["row"] == row]
            for figure in FIGURES
        }
        for row in ROWS
    }
    for row, figures in values.items():
        cells = [
            f"{statistics.mean(v):6.2f} ({min(v):.2f} to {max(v):.2f})"
            for v in figures.values()
        ]
        print(f"{row:28}", "  ".join(cells))
    for better, worse in CLAIMS:
        for figure in FIGURES[:2]:
            ours, other = values[better][figure], values[worse][figure]
            gain = statistics.mean(ours) - statistics.mean(other)
            shows = min(ours) > max(other)
            verdict = "beyond the spread" if shows else "not beyond the spread"
            print(f"{better} > {worse}: {figure} {gain:+.2f}, {verdict}")


if __name__ == "__main__":
    main()
