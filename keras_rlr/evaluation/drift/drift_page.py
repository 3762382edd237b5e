"""The page of `keras-rlr monitor`: curves, and a table of windows."""

from typing import Any

import numpy as np

from keras_rlr.evaluation.drift.advice import advice
from keras_rlr.evaluation.drift.compare_values import cuts
from keras_rlr.evaluation.drift.drift import Drift
from keras_rlr.evaluation.drift.drift_window import QUANTITIES, SCORES
from keras_rlr.evaluation.report.page import (
    Picture,
    facts_table,
    figure,
    page,
    paragraph,
    section,
    table,
)
from keras_rlr.evaluation.report.svg import (
    COLOURS,
    add_legend,
    line_look,
    new_figure,
    svg_text,
)
from keras_rlr.printable import printable

_MOST_POINTS = 1000
_METHOD = (
    "Each window is compared with the calibration's images of its product, by a "
    "two-sample Kolmogorov-Smirnov test of the values within the cuts (brightness and "
    "sharpness by a Mann-Whitney test too), and by the number of those beyond. So many "
    "of these as the tolerated share of true anomalies are no drift. Scores are cut "
    "above alone. A window drifts where unchanged images would differ so much in less "
    "than 1 of 100 tables. The population stability index (PSI) stands beside it and "
    "decides nothing."
)
_CAPTION = (
    "{} in the order of the table, the median of each window, and of calibration the "
    "median and the cut{}. Windows that drift are shaded."
)
_CAPTIONS = {
    SCORES: _CAPTION.format("Scores", ""),
    "brightness": _CAPTION.format(
        "Brightness of the images (0 is black and 1 white)", "s"
    ),
    "sharpness": _CAPTION.format(
        "Sharpness of the images (how much neighbouring pixels of the image in grey "
        "differ, in its standard deviations)",
        "s",
    ),
}
_TITLES = [
    "window",
    "images",
    "first image",
    "median",
    "usual",
    "beyond the cuts",
    "PSI",
    "PSI by chance",
    "p-value",
    "drift",
]


def drift_page(
    title: str, drift: Drift, calibration: Any, facts: dict[str, Any]
) -> str:
    """The text of the page, which loads nothing from anywhere.

    Args:
        title: Its heading.
        drift: What `monitor_scores` returned.
        calibration: The `CalibrationScores` that it compared with.
        facts: What was used, by name.
    """
    sentences = [*advice(drift), *drift.notes]
    parts = [
        paragraph(text, label=drift.drift and not i) for i, text in enumerate(sentences)
    ]
    for quantity in QUANTITIES:
        judged = [w.category for w in drift.windows if w.test == quantity]
        judged = list(dict.fromkeys(judged))
        if judged:
            parts.append(section(quantity.capitalize()))
            values = _values_figure(drift, calibration, quantity, judged)
            indices = _psi_figure(drift, quantity, judged)
            parts.append(figure(Picture(values, _CAPTIONS[quantity])))
            parts.append(figure(Picture(indices, "PSI of each window.")))
    rows = [_row(window) for window in drift.windows]
    parts += [section("Windows"), paragraph(_METHOD), table(_TITLES, rows, [])]
    return page(title, [*parts, section("What was used"), facts_table(facts)])


def _row(window):
    def shown(value):
        return "" if value is None else f"{value:.3g}"

    return [
        window.title,
        str(window.images),
        f"{window.first}: {window.first_path}",
        shown(window.median),
        shown(window.usual_median),
        str(window.beyond),
        shown(window.psi),
        shown(window.psi_by_chance),
        shown(window.p_value),
        "yes" if window.drift else "no",
    ]


def _windows(drift, quantity, category):
    chosen = (quantity, category)
    return [w for w in drift.windows if (w.test, w.category) == chosen]


def _title(category):
    return printable("all images" if category is None else category)


def _values_figure(drift, calibration, quantity, categories):
    columns = min(2, len(categories))
    rows = -(-len(categories) // columns)
    drawing = new_figure(10, 2.8 * rows)
    grid = drawing.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(categories) :]:
        axes.set_axis_off()
    for category, axes in zip(categories, grid.ravel(), strict=False):
        numbers, values = drift.series[quantity, category]
        kept = np.unique(np.linspace(0, len(values) - 1, _MOST_POINTS).astype(int))
        axes.plot(
            numbers[kept], values[kept], ".", color=COLOURS[4], ms=3, label="images"
        )
        for window in _windows(drift, quantity, category):
            span = (window.first, window.last)
            axes.plot(
                span,
                [window.median] * 2,
                color=COLOURS[0],
                lw=2.5,
                label="median of a window",
            )
            if window.drift:
                axes.axvspan(*span, color=COLOURS[1], alpha=0.2, label="drift")
        measure = None if quantity == SCORES else quantity
        usual = calibration.of(category, measure)
        median = np.median(usual)
        axes.axhline(median, color="black", ls="--", lw=1, label="usual median")
        for cut in filter(np.isfinite, cuts(usual, two_sided=bool(measure))):
            axes.axhline(cut, color="black", ls=":", lw=1, label="cut")
        axes.set(xlabel="image", ylabel=measure or "anomaly score")
        axes.set_title(_title(category), parse_math=False)
    handles: dict[str, Any] = {}
    for axes in grid.ravel()[: len(categories)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    add_legend(drawing, list(handles.values()), list(handles), "outside right center")
    return svg_text(drawing)


def _psi_figure(drift, quantity, categories):
    drawing = new_figure(10, 3.2)
    axes = drawing.subplots()
    for number, category in enumerate(categories):
        windows = _windows(drift, quantity, category)
        places = [(window.first + window.last) / 2 for window in windows]
        indices = [window.psi for window in windows]
        axes.plot(places, indices, marker="o", **line_look(number))
    axes.set(xlabel="image", ylabel="PSI", ylim=(0, None))
    axes.grid(alpha=0.3)
    names = [_title(category) for category in categories]
    add_legend(drawing, axes.lines, names, "outside right center")
    return svg_text(drawing)
