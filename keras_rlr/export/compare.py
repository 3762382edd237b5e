"""Whether what was exported says what the model says."""

import numpy as np

# Largest differences of maps, as a share of the largest value, and of scores, as a
# share of the score.
_EXACT = 1e-4
# Differences of scores below this share of the largest are shares of the largest: of
# what a memory bank holds the score is 0 but for rounding.
_OF_NOTHING = 0.01
TOLERANCES = {None: _EXACT, "float16": 0.03, "dynamic": 0.25, "int8": 0.5}


def compare(expected, found, threshold, tolerance):
    """Compares outputs of an export with those of the model.

    Args:
        expected: Dict of arrays, what `RLR.predict` returns.
        found: The same of the export.
        threshold: The model's threshold, or those of the images, or None.
        tolerance: Largest relative difference.

    Returns:
        Dict for the manifest: "images", "map_difference" (largest, as a share of the
        largest value of all maps), "score_difference" (largest, relative to the
        score, and to the largest where that is next to 0), "decisions_changed" (count),
        "decisions_changed_beyond_margin" (those whose score is not within the tolerance
        of the threshold), "categories_changed" (of models that know categories: how
        many images are taken for others; where all is exact, it must be 0),
        "tolerance", "passed".
    """
    maps, scores = expected["anomaly_map"], expected["anomaly_score"]
    changed = beyond = moved = 0
    largest = np.abs(scores).max()
    scale = _scale(scores, maps, largest)
    if threshold is not None:
        differs = found["is_anomalous"] != expected["is_anomalous"]
        near = tolerance * _scale(threshold, maps, largest)
        clear = np.abs(scores - threshold) > near
        if "category" in expected:
            is_moved = found["category"] != expected["category"]
            moved, clear = int(is_moved.sum()), clear & ~is_moved
        changed, beyond = int(differs.sum()), int((differs & clear).sum())
    result = {
        "images": len(scores),
        "map_difference": _largest(found["anomaly_map"] - maps, np.abs(maps).max()),
        "score_difference": _largest(found["anomaly_score"] - scores, scale),
        "decisions_changed": changed,
        "decisions_changed_beyond_margin": beyond,
        "tolerance": tolerance,
    }
    if "category" in expected:
        result["categories_changed"] = moved
    differences = (result["map_difference"], result["score_difference"])
    # A NaN is no match, and is not below anything.
    within = all(difference <= tolerance for difference in differences)
    recognized = moved == 0 or tolerance > _EXACT
    return {**result, "passed": within and beyond == 0 and recognized}


def _scale(values, maps, largest):
    """What differences of scores or thresholds are a share of."""
    # Where maps go below 0, 0 is a value like others.
    scale = np.maximum(np.abs(values), max(0.0, -maps.min()))
    return np.where(scale < _OF_NOTHING * largest, largest, scale)


def _largest(difference, scale):
    return float(np.max(np.abs(difference) / np.maximum(scale, 1e-12)))
