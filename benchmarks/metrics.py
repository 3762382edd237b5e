"""All seven figures on as many maps as VisA's test set has.

    python -m benchmarks.metrics [--size 256]

Maps are random, with blurred defects of random size in the anomalous half. Prints the
seconds of `measure` (every category and pooled, exact), the peak of memory beside maps
and masks, and the same of the streaming metrics.
"""

import argparse
import resource
import threading
import time

import numpy as np

from keras_rlr.datasets.catalogue import VISA
from keras_rlr.evaluation.evaluate_model import measure
from keras_rlr.evaluation.test_predictions import TestPredictions
from keras_rlr.metrics.pixel_bins import PixelBins


def random_predictions(size):
    """Predictions on a test set of VisA's counts."""
    generator = np.random.default_rng(0)
    counts = [(name, *counts[1:]) for name, counts in VISA.counts.items()]
    total = sum(normal + anomalous for _, normal, anomalous in counts)
    kept = TestPredictions(
        labels=np.zeros(total, bool),
        scores=np.zeros(total, "float32"),
        categories=np.empty(total, object),
        maps=np.empty((total, size, size), "float32"),
        masks=np.zeros((total, size, size), bool),
    )
    i = 0
    for name, normal, anomalous in counts:
        for label in [0] * normal + [1] * anomalous:
            kept.maps[i] = generator.gamma(2.0, 0.1, (size, size))
            if label:
                for _ in range(generator.integers(1, 4)):
                    row, column = generator.integers(0, size - 24, 2)
                    height, width = generator.integers(3, 24, 2)
                    kept.masks[i, row : row + height, column : column + width] = True
                kept.maps[i][kept.masks[i]] += 0.2
            kept.labels[i] = label
            kept.scores[i] = kept.maps[i].max()
            kept.categories[i] = name
            i += 1
    return kept


class PeakMemory:
    """Watches the resident memory of this process, in MiB above the beginning."""

    def __enter__(self):
        """Begins to watch."""
        self._running = True
        self._begin = self._resident()
        self.peak = 0.0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        """Ends."""
        self._running = False
        self._thread.join()

    def _watch(self):
        while self._running:
            self.peak = max(self.peak, self._resident() - self._begin)
            time.sleep(0.005)

    def _resident(self):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return pages * resource.getpagesize() / 2**20


def stream(predictions):
    """Counts all maps in bins, 16 at a time."""
    bins = PixelBins()
    for start in range(0, len(predictions.maps), 16):
        part = slice(start, start + 16)
        bins.update(predictions.masks[part], predictions.maps[part])
    return bins


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    predictions = random_predictions(arguments.size)
    print(f"{len(predictions.maps)} maps of {arguments.size}x{arguments.size}")
    with PeakMemory() as memory:
        began = time.perf_counter()
        result = measure(predictions)
        seconds = time.perf_counter() - began
    print(f"exact: {seconds:.1f} s, peak {memory.peak:.0f} MiB beside maps and masks")
    with PeakMemory() as memory:
        began = time.perf_counter()
        bins = stream(predictions)
        counted, bounds = bins.figures(), bins.error_bounds()
        seconds = time.perf_counter() - began
    print(f"streaming, pooled: {seconds:.1f} s, peak {memory.peak:.0f} MiB")
    for name, value in counted.items():
        exact = result["pooled"][name]
        print(
            f"  {name:14} exact {exact:.6f}  streaming {value:.6f}  "
            f"apart {abs(value - exact):.1e}  bound {bounds[name]:.1e}"
        )


if __name__ == "__main__":
    main()
