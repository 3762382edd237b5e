import numbers
from typing import Any

import numpy as np

from keras_rlr.evaluation.regions.outlines import outlines
from keras_rlr.evaluation.regions.region import Region
from keras_rlr.inputs.images import to_array


def regions(anomaly_map: Any, threshold: float) -> list[Region]:
    """Finds the connected regions of an anomaly map.

    A region is of pixels that reach the threshold and touch each other at an edge or a
    corner. The areas of all add up to the number of pixels that reach it.

    Args:
        anomaly_map: Array (height, width) of one image, as `predict` returns them; with
            `predict(…, original_size=True)` regions are in pixels of the image.
        threshold: The value from which on a pixel is anomalous, such as
            `model.pixel_threshold_of(category)`, the one of the product that the image
            shows, or `model.pixel_threshold`, that of all products together.

    Returns:
        List of `Region`s, those of the largest score first.

    Raises:
        ValueError: If the map is no array (height, width) of finite numbers, or the
            threshold is no number.

    Example:

    >>> anomaly_map = np.zeros((8, 8))
    >>> anomaly_map[2:4, 1:6] = 3.0
    >>> (region,) = keras_rlr.regions(anomaly_map, threshold=1.0)
    >>> region.box, region.area, region.score
    ((1, 2, 5, 2), 10, 3.0)
    >>> region.polygon
    [1, 2, 6, 2, 6, 4, 1, 4]
    """
    from scipy.ndimage import find_objects, label

    values = _checked(anomaly_map)
    inside = values >= _number(threshold)
    labels, count = label(inside, structure=np.ones((3, 3), int))
    owners = labels[inside] - 1
    scores = np.full(count, -np.inf, values.dtype)
    np.maximum.at(scores, owners, values[inside])
    facts = zip(
        find_objects(labels),
        outlines(labels, count),
        np.bincount(owners, minlength=count).tolist(),
        scores.tolist(),
        strict=True,
    )
    found = [
        Region(
            box=_box(*place),
            polygon=polygon,
            area=area,
            hole_area=enclosed - area,
            score=score,
        )
        for place, (polygon, enclosed), area, score in facts
    ]
    # Of equal scores the first in the map stays first.
    return sorted(found, key=lambda region: -region.score)


def _box(rows, columns):
    width, height = columns.stop - columns.start, rows.stop - rows.start
    return (columns.start, rows.start, width, height)


def _checked(anomaly_map):
    values = to_array(anomaly_map)
    if values.dtype.kind not in "buif" and values.dtype.name != "bfloat16":
        raise ValueError(
            "An anomaly map must be an array of numbers. Received one of dtype "
            f"{values.dtype}."
        )
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            "An anomaly map must be of one image, (height, width), with pixels in it. "
            f"Received the shape {values.shape}. Give the maps of a batch one by one."
        )
    if values.dtype not in ("float32", "float64"):
        values = values.astype("float64" if values.dtype.kind in "iu" else "float32")
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise ValueError(
            f"{bad} of {values.size} values of the anomaly map are NaN or infinite, so "
            "nobody knows what is anomalous there. The model's training diverged, or "
            "its numbers overflow in this precision."
        )
    return values


def _number(threshold):
    value = to_array(threshold)
    if isinstance(threshold, numbers.Real) and not isinstance(threshold, bool):
        value = np.asarray(float(threshold))
    if value.size != 1 or value.dtype.kind not in "iuf" or np.isnan(value).any():
        raise ValueError(
            "`threshold` must be a number, such as `model.pixel_threshold_of(category)`"
            " of the image's product, which is None before `model.calibrate`. "
            f"Received: {threshold!r}."
        )
    return float(value.reshape(()))
