"""Metrics of scores that were counted in bins, with bounds of what binning can hide.

Each function gives the value with all scores of a bin taken for equal, and the least
and the largest that any order within the bins could give. `backend` is `numpy` or
`keras.ops`, which share the functions used here.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BinCounts:
    """Numbers of values by bin, ascending in score, as floats.

    Args:
        inside: Array (bins,), values in each bin.
        reached: Array (bins,), values in it and all above. It is summed up by the
            caller in integers: float32 can't count to 17 million.
    """

    inside: Any
    reached: Any

    @property
    def total(self) -> Any:
        """Number of all values."""
        return self.reached[0]


def bin_counts(inside: Any) -> BinCounts:
    """The `BinCounts` of a NumPy array of integers (bins,), as float64."""
    reached = inside[::-1].cumsum(dtype="int64")[::-1]
    return BinCounts(inside.astype("float64"), reached.astype("float64"))


def auroc(normal: BinCounts, anomalous: BinCounts, backend: Any) -> Any:
    """AUROC: (value, lowest, highest).

    Args:
        normal: `BinCounts` of the normal values.
        anomalous: `BinCounts` of the anomalous values.
        backend: `numpy` or `keras.ops`.
    """
    pairs = normal.total * anomalous.total
    below = normal.total - normal.reached
    lowest = backend.sum(anomalous.inside * below) / pairs
    width = backend.sum(anomalous.inside * normal.inside) / pairs
    return lowest + width / 2, lowest, lowest + width


def average_precision(normal: BinCounts, anomalous: BinCounts, backend: Any) -> Any:
    """Average precision: (value, lowest, highest). Arguments as of `auroc`."""
    true, false = anomalous.reached, normal.reached
    one = backend.ones_like(true)

    def mean(precision):
        return backend.sum(anomalous.inside * precision) / anomalous.total

    # Above all scores 0 of 0 values are anomalous; those bins have no weight.
    value = mean(true / backend.maximum(true + false, one))
    highest = mean(true / backend.maximum(true + false - normal.inside, one))
    first = true - anomalous.inside + 1
    return value, mean(first / (first + false)), highest


def f1_max(normal: BinCounts, anomalous: BinCounts, backend: Any) -> Any:
    """F1-max: (value, lowest, highest, bin). Arguments as of `auroc`.

    The lower edge of the bin, as a threshold, attains the value: it is the lowest
    too.
    """
    true, false = anomalous.reached, normal.reached
    called = anomalous.total + true + false
    f1 = 2.0 * true / called
    best = f1.shape[0] - 1 - backend.argmax(backend.flip(f1))
    value = backend.max(f1)
    return value, value, backend.max(2.0 * true / (called - normal.inside)), best


def aupro(normal: BinCounts, overlap: Any, fpr_limit: float, backend: Any) -> Any:
    """AUPRO: (value, lowest, highest).

    Args:
        normal: `BinCounts` of the normal pixels.
        overlap: Array (bins,), sum of 1 / (size of its region) over the anomalous
            pixels of each bin.
        fpr_limit: Where the integration ends.
        backend: `numpy` or `keras.ops`.
    """
    limit = fpr_limit * normal.total
    end = backend.minimum(normal.reached, limit)
    begin = backend.minimum(normal.reached - normal.inside, limit)
    tie = backend.maximum(normal.inside, backend.ones_like(normal.inside))
    covered = limit - end + (end - begin) * (end - begin) / tie / 2.0

    def area(pixels):
        return backend.sum(overlap * pixels) / (backend.sum(overlap) * limit)

    return area(covered), area(limit - end), area(limit - begin)
