import math
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from keras_rlr.category_names import known_name
from keras_rlr.evaluation.drift.advice import difference_in_words
from keras_rlr.evaluation.drift.compare_values import (
    LEAST_CALIBRATION,
    compare_values,
    unknown_p_value,
)
from keras_rlr.evaluation.drift.drift import Drift
from keras_rlr.evaluation.drift.drift_window import (
    QUANTITIES,
    SCORES,
    UNKNOWN_PRODUCTS,
    DriftWindow,
)
from keras_rlr.evaluation.drift.scored_row import ScoredRow
from keras_rlr.evaluation.drift.scores_table import ScoresTable
from keras_rlr.evaluation.prediction import UNKNOWN_PRODUCT
from keras_rlr.evaluation.score_resized import nearest_category
from keras_rlr.inputs.image_measures import MEASURES

# Unchanged images are called drift in so many of all tables, at most.
FALSE_ALARMS = 0.01
# Fewer images of a product make no window.
LEAST_IMAGES = 20


def monitor_scores(
    table: ScoresTable,
    calibration: Any,
    window: int = 100,
    anomalous_share: float = 0.05,
    category: str | None = None,
) -> Drift:
    """Compares scores and measures of production images with those of calibration.

    The images of each product, in their order, are cut into windows. What is left at
    the end is a smaller window, of 20 images at least. A window drifts if unchanged
    images would differ so much in less than 1 of 100 tables: its p-value is below 0.01
    by the number of windows, those of each quantity counted.

    Args:
        table: The scores.
        calibration: `CalibrationScores`, of a model's thresholds.
        window: Number of images of a window.
        anomalous_share: Share of images that may be true anomalies.
        category: The one product to judge: images that the table, or a folder in
            their path, says show another one are left out, and those of which neither
            says it count as its. None to judge all.

    Returns:
        What was found, a `Drift`.

    Raises:
        ValueError: If the model keeps no scores of calibration, or no window can be
            judged.
    """
    if not len(calibration.of(None)):
        raise ValueError(
            "The model keeps no scores of its calibration: it was not calibrated, or "
            "by a version before `keras-rlr monitor`. Calibrate it again: `keras-rlr "
            "calibrate --model RUN --data NORMAL_IMAGES`."
        )
    if category is not None:
        category = known_name(category, calibration.categories) or category
    if category is not None and category not in calibration.categories:
        known = ", ".join(calibration.categories) or "none"
        raise ValueError(
            f"The model was calibrated on no images of {category!r}. Products that "
            f"it has scores of: {known}."
        )
    by_product: dict[str | None, list[tuple[int, ScoredRow]]] = {}
    for pair in enumerate(table.rows, 1):
        name = _product(pair[1], calibration)
        by_product.setdefault(name, []).append(pair)
    notes = list(table.notes)
    if category is not None:
        by_product, left_out = _of_one(by_product, category)
        notes += left_out
    rows = sorted(pair for pairs in by_product.values() for pair in pairs)
    scored = [pair for pair in rows if pair[1].is_scored]
    groups = {
        name: usable
        for name, pairs in by_product.items()
        if (usable := [pair for pair in pairs if pair[1].is_scored])
    }
    unknown = groups.pop(UNKNOWN_PRODUCT, [])
    failed = len(rows) - len(scored)
    notes += _notes_on_rows(rows, failed, unknown, groups, calibration)
    compared, missing = _compared(scored, calibration)
    notes += missing
    windows: list[DriftWindow] = []
    least = min(window, LEAST_IMAGES)
    for name in sorted(groups, key=lambda name: name or ""):
        usual = calibration.of(name)
        if len(usual) < LEAST_CALIBRATION:
            notes.append(
                f"{len(groups[name])} images of {name or 'all products'} are not "
                f"judged: the model was calibrated on {len(usual)} normal images of "
                f"it, and {LEAST_CALIBRATION} are needed."
            )
            continue
        parts, left = _parts(groups[name], window)
        if left:
            notes.append(
                f"The last {left} images of {name or 'all products'} are not judged: a "
                f"window has at least {LEAST_IMAGES}. Give them again with later ones."
            )
        found = [
            _of_values(part, quantity, name, calibration, anomalous_share, least)
            for quantity in compared
            for part in parts
        ]
        windows += [each for each in found if each is not None]
    if table.names_products and category is None:
        parts, _ = _parts(scored, window)
        windows += [_of_unknown(part, anomalous_share) for part in parts]
    limit = FALSE_ALARMS / max(len(windows), 1)
    windows = [replace(each, limit=limit) for each in windows]
    # That all images show known products says nothing of their scores.
    if not any(each.test in QUANTITIES or each.drift for each in windows):
        raise ValueError(
            f"None of the {len(rows)} images can be judged. " + " ".join(notes)
        )
    return Drift(
        windows=windows,
        images=len(rows),
        failed=failed,
        unknown=len(unknown),
        notes=notes,
        series={
            (quantity, name): _series(group, quantity)
            for quantity in compared
            for name, group in groups.items()
        },
    )


def _product(row, calibration):
    if row.category:
        return known_name(row.category, calibration.categories) or row.category
    return nearest_category(
        PurePosixPath(row.path).parent.parts, calibration.categories
    )


def _of_one(by_product, category):
    """The rows of a product, and those of none; a note on what is left out."""
    pairs = sorted(by_product.get(category, []) + by_product.get(None, []))
    others = {
        name: len(rows)
        for name, rows in by_product.items()
        if name not in (category, None)
    }
    if not others:
        return {category: pairs}, []
    counts = ", ".join(f"{count} of {name}" for name, count in sorted(others.items()))
    count = sum(others.values())
    total = count + len(pairs)
    note = (
        f"{count} of {total} images are left out, since they do not show {category} by "
        f"the table or a folder in their path: {counts}."
    )
    if not pairs:
        raise ValueError(
            f"{note} Nothing is left to judge. Leave --category out, or give a table "
            f"of {category}."
        )
    return {category: pairs}, [note]


def _notes_on_rows(rows, failed, unknown, groups, calibration):
    notes = []
    if failed:
        first = next(row for _, row in rows if not row.is_scored)
        why = first.error or "it has no score"
        notes.append(
            f"{failed} of {len(rows)} images have no score and are left out; the "
            f"first is '{first.path}': {why}"
        )
    if unknown:
        notes.append(
            f"{len(unknown)} of {len(rows) - failed} images show no product that the "
            f"model knows; the first is '{unknown[0][1].path}'."
        )
        notes += _looks(unknown, calibration)
    if None in groups and len(calibration.categories) > 1:
        notes.append(
            f"It is not known which product {len(groups[None])} images show: they are "
            "compared with all images of calibration together, and another mix of "
            "products is drift too. Give --category where they all show one."
        )
    return notes


def _looks(unknown, calibration):
    """What images of no known product have that hardly any of calibration has."""
    notes = []
    for measure in MEASURES:
        values, usual = _series(unknown, measure)[1], calibration.of(None, measure)
        if not (len(values) and len(usual)):
            continue
        median = float(np.median(values))
        low, high = np.quantile(usual, [0.05, 0.95])
        if not low <= median <= high:
            words = difference_in_words(measure, median, float(np.median(usual)))
            notes.append(f"The images of no known product {words}.")
    return notes


def _parts(group, window) -> tuple[list[Any], int]:
    """Windows of a product's rows, and how many rows at the end make none."""
    parts = [group[i : i + window] for i in range(0, len(group), window)]
    left = 0
    if parts and len(parts[-1]) < min(window, LEAST_IMAGES):
        left = len(parts.pop())
    return parts, left


def _compared(scored, calibration):
    """The quantities that both sides have, and what is to be said of those missing."""
    lacking = [
        row
        for _, row in scored
        if not all(math.isfinite(row.value(name)) for name in MEASURES)
    ]
    if scored and len(lacking) == len(scored):
        return (SCORES,), [
            "The table has no brightness and sharpness of the images, which "
            "`keras-rlr predict` writes by now: scores alone are compared."
        ]
    if not all(len(calibration.of(None, name)) for name in MEASURES):
        return (SCORES,), [
            "The model keeps no brightness and sharpness of the images that it was "
            "calibrated on: scores alone are compared. Calibrate it again to compare "
            "those too."
        ]
    if not lacking:
        return QUANTITIES, []
    return QUANTITIES, [
        f"{len(lacking)} of {len(scored)} images have no brightness or sharpness in "
        f"the table; the first is '{lacking[0].path}'. Of them what is there is "
        "compared."
    ]


def _series(group, quantity):
    """Row numbers and values of a product's rows, as far as they have a value."""
    pairs = [(number, row.value(quantity)) for number, row in group]
    pairs = [pair for pair in pairs if math.isfinite(pair[1])]
    return np.array([n for n, _ in pairs], int), np.array([v for _, v in pairs])


def _of_values(part, quantity, name, calibration, anomalous_share, least):
    """The window of a quantity; None where too few of its images have a value."""
    values = _series(part, quantity)[1]
    if len(values) < least:
        return None
    measure = None if quantity == SCORES else quantity
    usual = calibration.of(name, measure)
    found = compare_values(usual, values, anomalous_share, two_sided=bool(measure))
    return DriftWindow(
        test=quantity,
        category=name,
        first=part[0][0],
        last=part[-1][0],
        first_path=part[0][1].path,
        images=len(values),
        beyond=found.beyond,
        p_value=found.p_value,
        limit=FALSE_ALARMS,
        median=float(np.median(values)),
        usual_median=float(np.median(usual)),
        psi=found.psi,
        psi_by_chance=found.psi_by_chance,
    )


def _of_unknown(part, anomalous_share):
    unknown = sum(row.category == UNKNOWN_PRODUCT for _, row in part)
    return DriftWindow(
        test=UNKNOWN_PRODUCTS,
        category=None,
        first=part[0][0],
        last=part[-1][0],
        first_path=part[0][1].path,
        images=len(part),
        beyond=unknown,
        p_value=unknown_p_value(unknown, len(part), anomalous_share),
        limit=FALSE_ALARMS,
    )
