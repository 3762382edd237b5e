"""The test images that show best what a model can and can't do."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rlr.evaluation.overlay import (
    HeatScale,
    overlay_panels,
    resize_pixels,
    shown_mask,
    side_by_side,
)
from keras_rlr.evaluation.test_predictions import TestPredictions
from keras_rlr.inputs.part_of_pass import PartOfPass
from keras_rlr.inputs.value_ranges import ValueRanges

PLAIN_PANELS = "image, true mask, anomaly map"
PANELS = f"{PLAIN_PANELS}, features, rebuilt features"
DECODED_PANELS = f"{PLAIN_PANELS}, decoded features, decoded reconstruction"
_SIDE = 192


@dataclass(frozen=True)
class Case:
    """A test image of a report.

    Args:
        index: Its position in the test set.
        title: Why it is shown.
    """

    index: int
    title: str


def choose_cases(
    predictions: TestPredictions, category: str, each: int = 1
) -> list[Case]:
    """Chooses the worst and the best cases of a category.

    Args:
        predictions: `TestPredictions`.
        category: Its name.
        each: How many of each kind.

    Returns:
        List of `Case`s: the anomalous images with the lowest scores, the normal ones
        with the highest, and then those that were easiest.
    """
    rows = predictions.rows(category)
    rows = rows[np.argsort(predictions.scores[rows], kind="stable")]
    anomalous = rows[predictions.labels[rows]]
    normal = rows[~predictions.labels[rows]]
    kinds = (
        ("worst: the lowest score of the anomalous images", anomalous[:each]),
        ("worst: the highest score of the normal images", normal[::-1][:each]),
        ("best: the highest score of the anomalous images", anomalous[::-1][:each]),
        ("best: the lowest score of the normal images", normal[:each]),
    )
    chosen, seen = [], set()
    for title, indices in kinds:
        for index in indices:
            if index not in seen:
                seen.add(index)
                chosen.append(Case(int(index), title))
    return chosen


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
        views = [resize_pixels(view, height, width) for view in views]
        pictures.append(side_by_side([image, truth, overlay, *views], scale))
    return pictures


def _views(model, images, decoder):
    """What is shown of each image's features, before and after reconstruction."""
    if not hasattr(model, "reconstruct"):
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
