"""Takes a category out of what a calibrated model knows."""

import dataclasses

import numpy as np
from keras import ops

from keras_rlr.detectors.pixel_thresholds import PixelThresholds
from keras_rlr.detectors.score_thresholds import MARGINS, threshold_from_scores


def forget_category(model, name, false_positive_rate):
    """Removes a category's thresholds, class mean, calibration scores and region.

    The threshold of all images is taken anew from the scores that are kept of the
    other categories, if the model has them, for the rate or the smallest they allow.

    Args:
        model: The detector; the thresholds and the looks of other categories stay.
        name: The category.
        false_positive_rate: Share of new normal images that may be called anomalous.

    Returns:
        Whether the threshold of all images was taken anew.
    """
    model.forget_region_of(name)
    thresholds = model.thresholds
    if thresholds.threshold is None:
        return False
    thresholds.set_categories(
        pair for pair in thresholds.by_category.items() if pair[0] != name
    )
    pixels = thresholds.pixels
    thresholds.pixels = PixelThresholds(
        pixels.of_all, tuple(pair for pair in pixels.by_category if pair[0] != name)
    )
    thresholds.known.set(_without(thresholds.known.statistics, name))
    scores = thresholds.calibration_scores
    if name not in scores.categories:
        return False
    others = [other for other in scores.categories if other != name]
    if not others:
        scores.forget()
        return False
    names = [other for other in others for _ in scores.of(other)]

    def of_others(measure=None):
        return np.concatenate([scores.of(other, measure) for other in others])

    together = of_others()
    measures = {measure: of_others(measure) for measure in scores.measures}
    scores.set(together, names, measures)
    rate = max(false_positive_rate, 1 / (len(together) + 1))
    threshold = threshold_from_scores(together, rate, MARGINS[model.compute_dtype])
    thresholds.threshold_weight.assign(threshold)
    return True


def forget_usual_maps(model, name):
    """Removes the maps that a model keeps of images that show a category.

    Args:
        model: The detector, with a `usual_map` and calibrated.
        name: The category, which it recognises.

    Returns:
        How many maps were removed; None if the model can't tell whose they are.
    """
    usual, known = model.usual_map, model.thresholds.known
    if name not in known.names:
        return None
    maps, descriptions, is_stored, center, spread = (
        ops.convert_to_numpy(weight)
        for weight in (
            *(usual.maps, usual.descriptions, usual.is_stored),
            *(usual.center, usual.spread),
        )
    )
    rows = is_stored > 0
    descriptions = descriptions[rows] * spread + center
    tiles = ops.convert_to_numpy(usual.numbers) if usual.with_numbers else is_stored
    numbers, _ = known.recognize_many(descriptions)
    others = numbers != known.names.index(name)
    with model.scope():
        if others.any():
            usual.store(maps[rows][others], descriptions[others], tiles[rows][others])
        else:
            usual.forget()
    return int((~others).sum())


def _without(statistics, name):
    """`CategoryStatistics` of the other categories, or None if there are none."""
    if statistics is None:
        return None
    kept = [i for i, other in enumerate(statistics.names) if other != name]
    if not kept:
        return None
    arrays = ("means", "discounts", "score_means", "score_spreads")
    return dataclasses.replace(
        statistics,
        names=tuple(statistics.names[i] for i in kept),
        **{each: getattr(statistics, each)[kept] for each in arrays},
    )
