"""ROC and precision-recall curves, and histograms of scores, as SVG pictures."""

import warnings
from typing import Any

import numpy as np

from keras_rlr.evaluation.report.svg import (
    add_legend,
    line_look,
    new_figure,
    svg_text,
)
from keras_rlr.evaluation.test_predictions import TestPredictions
from keras_rlr.metrics.functional.ranking import labels_and_scores, rank, true_positives
from keras_rlr.printable import printable

_NORMAL, _ANOMALOUS = "#0072B2", "#D55E00"
_MOST_POINTS = 400
_BINS = 24


def curve_points(labels: Any, scores: Any) -> dict[str, np.ndarray] | None:
    """The corners of the ROC and precision-recall curves.

    Args:
        labels: Array, boolean or 0 and 1.
        scores: Array of the same shape.

    Returns:
        Dict of arrays "false_positive_rate" and "true_positive_rate" of the one curve,
        "recall" and "precision" of the other, by descending threshold, thinned to a
        few hundred scores; None if a class is absent.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ranking = rank(*labels_and_scores(labels, scores), "A curve")
    if ranking is None:
        return None
    count = ranking.scores.size
    reached = true_positives(ranking)[::-1]
    before = count - np.searchsorted(ranking.scores, ranking.scores, side="right")
    # At each score the curve goes from those above it to those at or above it; between
    # two scores, straight along the false positives.
    false = np.stack([ranking.above[::-1], ranking.not_below[::-1]], axis=1)
    true = np.stack([before[::-1], reached], axis=1)
    kept = np.unique(np.linspace(0, count - 1, _MOST_POINTS).astype(int))
    false, true = false[kept], true[kept]
    return {
        "false_positive_rate": np.r_[0, false.ravel() / ranking.normal, 1],
        "true_positive_rate": np.r_[0, true.ravel() / count, 1],
        "recall": true[:, 1] / count,
        "precision": true[:, 1] / (true[:, 1] + false[:, 1]),
    }


def binned_curve_points(bins: Any) -> Any:
    """`curve_points` of `PixelBins`.

    Args:
        bins: The `PixelBins`.
    """
    if not bins.is_defined():
        return None
    descending = np.flatnonzero(bins.normal + bins.anomalous)[::-1]
    false = np.cumsum(bins.normal[descending])
    true = np.cumsum(bins.anomalous[descending])
    kept = np.unique(np.linspace(0, len(true) - 1, _MOST_POINTS).astype(int))
    false, true = false[kept], true[kept]
    return {
        "false_positive_rate": np.r_[0, false / false[-1], 1],
        "true_positive_rate": np.r_[0, true / true[-1], 1],
        "recall": true / true[-1],
        "precision": true / np.maximum(true + false, 1),
    }


def curves_figure(points: Any) -> str:
    """Draws the curves of several categories.

    Args:
        points: Dict of results of `curve_points` by category, without None.

    Returns:
        The text of an SVG picture.
    """
    figure = new_figure(10, 4.6)
    roc, precision_recall = figure.subplots(1, 2)
    for number, curve in enumerate(points.values()):
        look = line_look(number)
        roc.plot(curve["false_positive_rate"], curve["true_positive_rate"], **look)
        precision_recall.plot(curve["recall"], curve["precision"], **look)
    roc.set(xlabel="false-positive rate", ylabel="true-positive rate", title="ROC")
    precision_recall.set(xlabel="recall", ylabel="precision", title="Precision-recall")
    for axes in (roc, precision_recall):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
    add_legend(figure, roc.lines, list(points), "outside right center")
    return svg_text(figure)


def histograms_figure(
    predictions: TestPredictions, thresholds: dict[str, float | None]
) -> str:
    """Draws the scores of normal and anomalous images, a histogram a category.

    Args:
        predictions: `TestPredictions`.
        thresholds: Dict of the thresholds by category; None where there is none.

    Returns:
        The text of an SVG picture.
    """
    names = predictions.names
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(3.6 * columns, 2.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(names) :]:
        axes.set_axis_off()
    for name, axes in zip(names, grid.ravel(), strict=False):
        chosen = predictions.rows(name)
        scores, labels = predictions.scores[chosen], predictions.labels[chosen]
        # In float32 scores that are nearly alike leave no room for so many edges.
        edges = np.histogram_bin_edges(scores.astype("float64"), _BINS)
        for label, colour, hatch in ((0, _NORMAL, None), (1, _ANOMALOUS, "//")):
            axes.hist(
                scores[labels == label],
                edges,
                color=colour,
                alpha=0.6,
                hatch=hatch,
                label="anomalous" if label else "normal",
            )
        if thresholds.get(name) is not None:
            axes.axvline(thresholds[name], color="black", label="threshold")
        axes.set(xlabel="anomaly score")
        axes.set_title(printable(name), parse_math=False)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    add_legend(figure, handles, labels, "outside right upper")
    return svg_text(figure)
