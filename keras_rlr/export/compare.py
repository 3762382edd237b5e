"""Whether what was exported says what the model says."""

import numpy as np

# Largest differences of maps, as a share of the largest value, and of scores, as a
# share of the score. A score far below the largest counts as a tenth of that: scores of
# what a memory bank holds are 0 up to rounding, and SimpleNet's are of either sign.
_SMALLEST_SHARE = 0.1
_EXACT = 1e-4
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
        largest value of all maps), "score_difference" (largest, relative to the score
        or a tenth of the largest), "decisions_changed" (their number),
        "decisions_changed_beyond_margin" (those whose score is not within the tolerance
        of the threshold), "categories_changed" (of models that know categories: how
        many images are taken for others; where all is exact, it must be 0),
        "tolerance", "passed".
    """
    maps, scores = expected["anomaly_map"], expected["anomaly_score"]
    changed = beyond = moved = 0
    least = _SMALLEST_SHARE * np.abs(scores).max()
    scale = np.maximum(np.abs(scores), least)
    if threshold is not None:
        differs = found["is_anomalous"] != expected["is_anomalous"]
        near = tolerance * np.maximum(np.abs(threshold), least)
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


def _largest(difference, scale):
    return float(np.max(np.abs(difference) / np.maximum(scale, 1e-12)))
