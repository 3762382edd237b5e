"""What a model's thresholds make of images that people judged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rlr.category_names import known_name
from keras_rlr.datasets import read_image
from keras_rlr.evaluation.predict_batch import images_at_once, predict_batch
from keras_rlr.evaluation.score_resized import nearest_category
from keras_rlr.inputs.value_ranges import ValueRanges
from keras_rlr.training.feedback import Feedback, JudgedImage

_BATCH = 16
# At which rates it is said how many missed anomalies would be found.
RATES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def named_category(image: JudgedImage, known: Any) -> str | None:
    """The product that an image shows by its table or its folders, or None.

    Args:
        image: The image.
        known: Names of categories.
    """
    if image.category and (name := known_name(image.category, known)):
        return name
    return nearest_category(image.file.resolve().parent.parts, known)


def feedback_report(
    model: Any, feedback: Feedback, rate: float, regions: Any = None
) -> dict[str, Any]:
    """Says how a calibrated model decides the images that people judged.

    Args:
        model: The detector, with the thresholds of now.
        feedback: The `Feedback`.
        rate: The false-positive rate that the thresholds are for.
        regions: Of each image, the normal ones first, where to look, see `WhereToLook`.

    Returns:
        Dict: "normal", the number of them, and "called_anomalous", how many of those
        still are; "anomalous", the number of them, and "found", how many are called so
        now; "images", of each anomalous one a dict of "path", "anomaly_score",
        "threshold", "found" and "false_positive_rate", the rate from which on it would
        be found; "found_at", pairs of a rate and how many would be found at it.
    """
    look = model.where_to_look(regions)
    normal = _scored(model, feedback.normal, look, 0)
    missed = _scored(model, feedback.anomalous, look, len(normal))
    rates = []
    for score, category, found in missed:
        needed = _rate_needed(model, score, category)
        # What is decided at the rate of now is known; the others are estimates.
        rates.append(min(needed, rate) if found else max(needed, rate))
    images = [
        {
            "path": image.path,
            "anomaly_score": score,
            "threshold": model.thresholds.of(category),
            "found": found,
            "false_positive_rate": needed,
        }
        for image, (score, category, found), needed in zip(
            feedback.anomalous, missed, rates, strict=True
        )
    ]
    return {
        "normal": len(normal),
        "called_anomalous": sum(row[2] for row in normal),
        "anomalous": len(missed),
        "found": sum(row[2] for row in missed),
        "images": images,
        "found_at": [
            [other, sum(needed <= other for needed in rates)]
            for other in RATES
            if other > rate and missed
        ],
    }


def decided_images(model: Any, judged: Sequence[JudgedImage]) -> list[dict[str, Any]]:
    """What a model says of images that people judged.

    Args:
        model: The detector.
        judged: The images.

    Returns:
        List of dicts: "anomaly_score"; "threshold" and "is_anomalous", None of a model
        that has no threshold.
    """
    is_calibrated = model.threshold is not None
    return [
        {
            "anomaly_score": score,
            "threshold": model.thresholds.of(name) if is_calibrated else None,
            "is_anomalous": flag if is_calibrated else None,
        }
        for score, name, flag in _scored(model, judged, model.where_to_look(), 0)
    ]


def _scored(
    model: Any, judged: Sequence[JudgedImage], look: Any, first: int
) -> list[tuple[Any, ...]]:
    """Score, category (or None) and decision of each image."""
    rows: list[tuple[Any, ...]] = []
    known = model.known_categories
    products = model.thresholds.by_category
    ranges = ValueRanges(model.bit_depth)
    size = images_at_once(model, _BATCH)
    for start in range(0, len(judged), size):
        batch = judged[start : start + size]
        names = [named_category(image, products) for image in batch]
        images = [read_image(image.file) for image in batch]
        places = range(first + start, first + start + len(batch))
        output = predict_batch(model, images, size, names, ranges, look, places)
        if "category" in output:
            found = [known[i] if i >= 0 else None for i in output["category"]]
            names = [name or other for name, other in zip(names, found, strict=True)]
        flags = output.get("is_anomalous", [False] * len(batch))
        rows += [
            (float(score), name, bool(flag))
            for score, name, flag in zip(
                output["anomaly_score"], names, flags, strict=True
            )
        ]
    if judged:
        ranges.finish()
    return rows


def _rate_needed(model: Any, score: float, category: str | None) -> float:
    """The false-positive rate from which on an image with a score is found.

    The share of normal images of calibration whose scores reach it, the image itself
    counted: in units that mean the same for all products, where the model has them.
    """
    thresholds = model.thresholds
    kept, known = thresholds.calibration_scores, thresholds.known
    own = kept.of(category)
    if category in known.names:
        statistics = known.statistics
        means = dict(zip(known.names, statistics.score_means, strict=True))
        spreads = dict(zip(known.names, statistics.score_spreads, strict=True))
        own = np.concatenate(
            [
                (kept.of(name) - means[name]) / spreads[name]
                for name in known.names
                if len(kept.of(name))
            ]
            or [own]
        )
        score = (score - means[category]) / spreads[category]
    elif not len(own):
        own = kept.of(None)
    return float((np.sum(own >= score) + 1) / (len(own) + 1))
