"""The test images that show best what a model can and can't do."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rlr.detectors.decision_thresholds import decide
from keras_rlr.evaluation.overlay import (
    HeatScale,
    overlay_panels,
    shown_mask,
    side_by_side,
)
from keras_rlr.evaluation.test_predictions import TestPredictions
from keras_rlr.inputs.part_of_pass import PartOfPass
from keras_rlr.inputs.resize import resize_images
from keras_rlr.inputs.value_ranges import ValueRanges

PLAIN_PANELS = "image, true mask, anomaly map"
PANELS = f"{PLAIN_PANELS}, features, rebuilt features"
DECODED_PANELS = f"{PLAIN_PANELS}, decoded features, decoded reconstruction"
FOUND, MISSED = "found", "missed"
ALARM, PASSED = "false alarm", "passed"
# Of each panel, in pixels. The page shows them smaller, and at this size when asked.
_SIDE = 384
# The pictures are in the page itself, about 100 kB each.
_MOST_ERRORS = 96
_MOST_OF_A_KIND = 8


@dataclass(frozen=True)
class Case:
    """A test image of a report.

    Args:
        index: Its position in the test set.
        title: Why it is shown.
        decision: "found" or "missed" of an anomalous image, "passed" or "false alarm"
            of a normal one; None without a threshold.
    """

    index: int
    title: str
    decision: str | None = None


def choose_cases(
    predictions: TestPredictions,
    category: str,
    each: int = 1,
    threshold: float | None = None,
    errors: int = 0,
) -> list[Case]:
    """Chooses the worst and the best cases of a category.

    Args:
        predictions: `TestPredictions`.
        category: Its name.
        each: How many of each kind.
        threshold: The category's, or None.
        errors: How many images of each kind of error at most, those that are wrong by
            most; they are among the worst cases or come after all others.

    Returns:
        List of `Case`s: the anomalous images with the lowest scores, the normal ones
        with the highest, those that were easiest, and then further errors.
    """
    rows = predictions.rows(category)
    rows = rows[np.argsort(predictions.scores[rows], kind="stable")]
    anomalous = rows[predictions.labels[rows]]
    normal = rows[~predictions.labels[rows]]
    kinds = [
        ("worst: the lowest score of the anomalous images", anomalous[:each]),
        ("worst: the highest score of the normal images", normal[::-1][:each]),
        ("best: the highest score of the anomalous images", anomalous[::-1][:each]),
        ("best: the lowest score of the normal images", normal[:each]),
    ]
    decisions = {}
    if threshold is not None:
        called = decide(predictions.scores[rows], threshold)
        decisions = {
            index: _decision(bool(predictions.labels[index]), bool(flag))
            for index, flag in zip(rows, called, strict=True)
        }
        missed = [index for index in anomalous if decisions[index] == MISSED]
        alarms = [index for index in normal[::-1] if decisions[index] == ALARM]
        kinds += [
            ("an anomalous image below the threshold", missed[:errors]),
            ("a normal image that reaches the threshold", alarms[:errors]),
        ]
    chosen, seen = [], set()
    for title, indices in kinds:
        for index in indices:
            if index not in seen:
                seen.add(index)
                chosen.append(Case(int(index), title, decisions.get(index)))
    return chosen


def errors_shown(categories: int) -> int:
    """How many errors of each kind a report shows of each category.

    Args:
        categories: The number of categories.
    """
    return max(1, min(_MOST_OF_A_KIND, _MOST_ERRORS // (2 * categories)))


def _decision(label, flag):
    if label:
        return FOUND if flag else MISSED
    return ALARM if flag else PASSED


def rebuilds(model: Any) -> bool:
    """Whether there is something to show of how a model rebuilds an image.

    Args:
        model: A detector. One that looks at tiles has no features of a whole image.
    """
    return hasattr(model, "reconstruct") and not getattr(model, "tiling", None)


def draw_cases(
    model: Any, elements: Any, maps: Any, scores: Any, scale: Any, decoder: Any = None
) -> list[Any]:
    """Draws images with masks, maps and, of models that rebuild, what they rebuilt.

    Args:
        model: An `RLR` model.
        elements: Dicts with "image" and, if known, "mask".
        maps: Array (images, S, S), their anomaly maps.
        scores: Array (images,), their anomaly scores.
        scale: A `HeatScale`.
        decoder: The `FeatureDecoder` of the model's features, or None to show the
            features in false colours.

    Returns:
        List of PIL images.
    """
    bit_depth = getattr(model, "bit_depth", None)
    # They were looked at when they were scored.
    images = [element["image"] for element in elements]
    known = PartOfPass(images, ValueRanges(bit_depth or 16))
    views_of_all = _views(model, known, decoder)
    pictures = []
    for element, anomaly_map, score, views in zip(
        elements, maps, scores, views_of_all, strict=True
    ):
        mask = element.get("mask")
        image, overlay = overlay_panels(
            element["image"], anomaly_map, scale, mask, _SIDE, bit_depth, score
        )
        height, width = image.shape[:2]
        truth = np.zeros((height, width, 3))
        if mask is not None:
            truth[shown_mask(mask, height, width)] = 255
        views = [resize_images(view, (height, width)) for view in views]
        pictures.append(side_by_side([image, truth, overlay, *views], scale))
    return pictures


def _views(model, images, decoder):
    """What is shown of each image's features, before and after reconstruction."""
    if not rebuilds(model):
        return [()] * len(images)
    features = model.extract_features(images)
    rebuilt = model.reconstruct(features)
    if decoder is None:
        return list(zip(*_false_colours(features[-1], rebuilt[-1]), strict=True))
    return list(zip(decoder.decode(features), decoder.decode(rebuilt), strict=True))


def _false_colours(features, rebuilt):
    """Original and rebuilt features of the coarsest level, as colours.

    The colours are the three directions in which the original features vary most, so
    that what was rebuilt as something else has another colour.
    """
    tokens = features.reshape(-1, features.shape[-1])
    mean = tokens.mean(0)
    _, _, directions = np.linalg.svd(tokens - mean, full_matrices=False)
    # A direction's sign is arbitrary; this makes it the same everywhere.
    directions = directions[:3] * np.sign(directions[:3].sum(1, keepdims=True))
    projected = [(part - mean) @ directions.T for part in (features, rebuilt)]
    low, high = np.percentile(projected[0], (1, 99), axis=(0, 1, 2))
    return [
        255 * np.clip((part - low) / np.maximum(high - low, 1e-9), 0, 1)
        for part in projected
    ]


def category_scale(
    predictions: TestPredictions, category: str, threshold: float | None
) -> HeatScale:
    """The colours of a category: those of its threshold, or of its scores."""
    if threshold is not None:
        return HeatScale.of_threshold(threshold)
    return HeatScale.of_scores(predictions.scores[predictions.rows(category)])
