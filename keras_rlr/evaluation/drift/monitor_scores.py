from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from keras_rlr.evaluation.drift.compare_scores import (
    LEAST_CALIBRATION,
    compare_scores,
    unknown_p_value,
)
from keras_rlr.evaluation.drift.drift import Drift
from keras_rlr.evaluation.drift.drift_window import (
    SCORES,
    UNKNOWN_PRODUCTS,
    DriftWindow,
)
from keras_rlr.evaluation.drift.scored_row import ScoredRow
from keras_rlr.evaluation.drift.scores_table import ScoresTable
from keras_rlr.evaluation.prediction import UNKNOWN_PRODUCT
from keras_rlr.evaluation.score_resized import nearest_category

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
    """Compares the scores of production images with those of calibration.

    The images of each product, in their order, are cut into windows. What is left at
    the end is a smaller window, of 20 images at least. A window drifts if unchanged
    images would differ so much in less than 1 of 100 tables: its p-value is below 0.01
    by the number of windows.

    Args:
        table: The scores.
        calibration: `CalibrationScores`, of a model's thresholds.
        window: Number of images of a window.
        anomalous_share: Share of images that may be true anomalies.
        category: The product that all images show; None to take it from the table, or
            from the folders of the images where the table does not have it.

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
    if category is not None and category not in calibration.categories:
        known = ", ".join(calibration.categories) or "none"
        raise ValueError(
            f"The model was calibrated on no images of {category!r}. Products that "
            f"it has scores of: {known}."
        )
    rows = list(enumerate(table.rows, 1))
    scored = [pair for pair in rows if pair[1].is_scored]
    groups: dict[str | None, list[tuple[int, ScoredRow]]] = {}
    for pair in scored:
        name = _product(pair[1], table, calibration, category)
        groups.setdefault(name, []).append(pair)
    unknown = groups.pop(UNKNOWN_PRODUCT, [])
    failed = len(rows) - len(scored)
    notes = _notes_on_rows(rows, failed, unknown, groups, calibration)
    windows = []
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
        windows += [_of_scores(p, name, usual, anomalous_share) for p in parts]
    if table.names_products and category is None:
        parts, _ = _parts(scored, window)
        windows += [_of_unknown(part, anomalous_share) for part in parts]
    limit = FALSE_ALARMS / max(len(windows), 1)
    windows = [replace(each, limit=limit) for each in windows]
    # That all images show known products says nothing of their scores.
    if not any(each.test == SCORES or each.drift for each in windows):
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
            name: (np.array([n for n, _ in group]), _scores(group))
            for name, group in groups.items()
        },
    )


def _product(row, table, calibration, category):
    if category is not None:
        return category
    if table.names_products:
        return row.category or None
    return nearest_category(
        PurePosixPath(row.path).parent.parts, calibration.categories
    )


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
    if None in groups and len(calibration.categories) > 1:
        notes.append(
            f"It is not known which product {len(groups[None])} images show: they are "
            "compared with all images of calibration together, and another mix of "
            "products is drift too. Give --category where they all show one."
        )
    return notes


def _parts(group, window) -> tuple[list[Any], int]:
    """Windows of a product's rows, and how many rows at the end make none."""
    parts = [group[i : i + window] for i in range(0, len(group), window)]
    left = 0
    if parts and len(parts[-1]) < min(window, LEAST_IMAGES):
        left = len(parts.pop())
    return parts, left


def _scores(part: Sequence[tuple[int, ScoredRow]]) -> Any:
    return np.array([row.score for _, row in part])


def _of_scores(part, name, usual, anomalous_share):
    scores = _scores(part)
    found = compare_scores(usual, scores, anomalous_share)
    return DriftWindow(
        test=SCORES,
        category=name,
        first=part[0][0],
        last=part[-1][0],
        first_path=part[0][1].path,
        images=len(part),
        above=found.above,
        p_value=found.p_value,
        limit=FALSE_ALARMS,
        median_score=float(np.median(scores)),
        usual_median_score=float(np.median(usual)),
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
        above=unknown,
        p_value=unknown_p_value(unknown, len(part), anomalous_share),
        limit=FALSE_ALARMS,
    )
