"""All figures of a test set, from one sort of its values."""

import math
from typing import Any

import numpy as np

from keras_rlr.metrics.functional.aupro import aupro_of, region_weights
from keras_rlr.metrics.functional.ranking import (
    auroc_of,
    average_precision_of,
    f1_max_of,
    labels_and_scores,
    rank,
    rank_values,
)

IMAGE_FIGURES = ("image_auroc", "image_ap", "image_f1_max")
PIXEL_FIGURES = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "pixel_aupro")


def image_figures(labels: Any, scores: Any) -> dict[str, float]:
    """AUROC, average precision and F1-max of images' scores.

    Args:
        labels: Array (images,), boolean or 0 and 1.
        scores: Array (images,).

    Returns:
        Dict of floats by the names of `IMAGE_FIGURES`, NaN with one `UserWarning` if
        a class is absent.
    """
    ranking = rank(*labels_and_scores(labels, scores), "Image AUROC")
    return _figures(IMAGE_FIGURES, ranking)


def pixel_figures(masks: Any, maps: Any, fpr_limit: float = 0.3) -> dict[str, float]:
    """AUROC, average precision, F1-max and AUPRO of anomaly maps.

    Args:
        masks: Boolean array (images, height, width), or a list of arrays (height,
            width) of any sizes.
        maps: Array of the same shape, or a list of arrays of the same sizes.
        fpr_limit: Where the AUPRO's integration ends.

    Returns:
        Dict of floats by the names of `PIXEL_FIGURES`, NaN with one `UserWarning` if
        a class is absent.
    """
    if isinstance(masks, list):
        pairs = [labels_and_scores(*pair) for pair in zip(masks, maps, strict=True)]
        positive, score = map(np.concatenate, zip(*pairs, strict=True))
        weights = region_weights(masks)
    else:
        positive, score = labels_and_scores(masks, maps)
        weights = region_weights(positive.reshape(np.shape(masks)))
    anomalous = score[positive]
    weights = weights[np.argsort(anomalous, kind="stable")]
    ranking = rank_values(anomalous, score[~positive], "Pixel AUROC")
    figures = _figures(PIXEL_FIGURES[:3], ranking)
    value = math.nan if ranking is None else aupro_of(ranking, weights, fpr_limit)
    return {**figures, PIXEL_FIGURES[3]: value}


def _figures(names, ranking):
    if ranking is None:
        return dict.fromkeys(names, math.nan)
    values = auroc_of(ranking), average_precision_of(ranking), f1_max_of(ranking)[0]
    return dict(zip(names, values, strict=True))
