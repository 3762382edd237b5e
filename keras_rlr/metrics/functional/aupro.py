from typing import Any

import numpy as np

from keras_rlr.metrics.functional.ranking import (
    Ranking,
    labels_and_scores,
    rank_values,
    refuse_masked,
)


def aupro(masks: Any, maps: Any, fpr_limit: float = 0.3) -> float:
    """Area under the per-region overlap curve, up to a limit of false positives.

    At every threshold, the per-region overlap is the mean, over the connected regions
    of all masks (8 neighbours), of the share of a region's pixels that are called
    anomalous; the false-positive rate is that of all normal pixels of all images. The
    curve is integrated by the trapezoid rule up to `fpr_limit`, interpolating there,
    and divided by it. Small defects count as much as large ones.

    The integral is exact: each anomalous pixel, weighted by 1 / (its region's size ·
    number of regions), adds the area that it covers.

    Args:
        masks: Array (images, height, width), boolean or 0 and 1; 1 is anomalous. One
            mask (height, width) is one image.
        maps: Array of the same shape; higher is more anomalous. May be infinite, not
            NaN.
        fpr_limit: Where the integration ends, above 0 and at most 1.

    Returns:
        Float in [0, 1]; NaN, with a `UserWarning`, if there are no anomalous or no
        normal pixels.

    Raises:
        ValueError: If the shapes differ or are not of images, a mask holds other
            values, a map holds NaN or `fpr_limit` is out of range.

    Example:

    >>> mask = np.zeros((1, 4, 4), int)
    >>> mask[0, 1:3, 1:3] = 1
    >>> keras_rlr.metrics.functional.aupro(mask, mask.astype("float32"))
    1.0

    Source: Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021.
    """
    check_fpr_limit(fpr_limit)
    refuse_masked(masks, maps)
    masks = np.asarray(masks)
    if masks.ndim == 2:
        masks, maps = masks[None], np.asarray(maps)[None]
    if masks.ndim != 3:
        raise ValueError(
            "`masks` must have the shape (images, height, width). Received: "
            f"{masks.shape}."
        )
    positive, score = labels_and_scores(masks, maps)
    anomalous = score[positive]
    order = np.argsort(anomalous, kind="stable")
    ranking = rank_values(anomalous, score[~positive], "AUPRO")
    if ranking is None:
        return float("nan")
    weights = region_weights(positive.reshape(masks.shape))
    return aupro_of(ranking, weights[order], fpr_limit)


def aupro_of(ranking: Ranking, weights: Any, fpr_limit: float) -> float:
    """The AUPRO of a `Ranking` of pixels.

    Args:
        ranking: The anomalous pixels among the normal ones.
        weights: Array (P,), 1 / (size of its region) of each, in the ranking's order.
        fpr_limit: Where the integration ends.

    Returns:
        Float in [0, 1].
    """
    # As the false-positive rate goes from `begin` to `end`, an anomalous pixel goes
    # linearly from missed to detected: that is the trapezoid of its tie.
    limit = fpr_limit * ranking.normal
    begin = np.minimum(ranking.above, limit)
    end = np.minimum(ranking.not_below, limit)
    tie = ranking.not_below - ranking.above
    reached = (end - begin) / np.maximum(tie, 1)
    covered = limit - end + (end - begin) * reached / 2
    return float(np.dot(weights, covered) / (weights.sum() * limit))


def region_weights(masks: Any) -> np.ndarray:
    """The weight of every anomalous pixel in the per-region overlap.

    Args:
        masks: Boolean array (images, height, width).

    Returns:
        float64 array (anomalous pixels,): 1 / (size of its connected region), in
        row-major order. The weights of a region add up to 1.
    """
    from scipy.ndimage import label

    parts = []
    for mask in masks:
        if mask.any():
            regions = label(mask, structure=np.ones((3, 3), int))[0][mask]
            parts.append(1.0 / np.bincount(regions)[regions])
    return np.concatenate(parts) if parts else np.zeros(0)


def check_fpr_limit(fpr_limit: float) -> None:
    """Raises a ValueError if a limit of false positives is out of range."""
    if not 0 < fpr_limit <= 1:
        raise ValueError(
            f"`fpr_limit` must be above 0 and at most 1. Received: {fpr_limit!r}."
        )
