"""Whether what was exported says what the model says."""

import numpy as np

# Largest differences of maps, as a share of the largest value, and of scores, as a
# share of the score.
TOLERANCES = {None: 1e-4, "float16": 0.03, "dynamic": 0.25, "int8": 0.5}


def compare(expected, found, threshold, tolerance):
    """Compares outputs of an export with those of the model.

    Args:
        expected: Dict of arrays, what `RLR.predict` returns.
        found: The same of the export.
        threshold: The model's threshold, or None.
        tolerance: Largest relative difference.

    Returns:
        Dict for the manifest: "images", "map_difference" (largest, as a share of the
        largest value of all maps), "score_difference" (largest, relative),
        "decisions_changed" (their number), "decisions_changed_beyond_margin" (those
        whose score is not within the tolerance of the threshold), "tolerance",
        "passed".
    """
    maps, scores = expected["anomaly_map"], expected["anomaly_score"]
    changed = beyond = 0
    if threshold is not None:
        differs = found["is_anomalous"] != expected["is_anomalous"]
        clear = np.abs(scores - threshold) > tolerance * abs(threshold)
        changed, beyond = int(differs.sum()), int((differs & clear).sum())
    result = {
        "images": len(scores),
        "map_difference": _largest(found["anomaly_map"] - maps, np.abs(maps).max()),
        "score_difference": _largest(found["anomaly_score"] - scores, np.abs(scores)),
        "decisions_changed": changed,
        "decisions_changed_beyond_margin": beyond,
        "tolerance": tolerance,
    }
    differences = (result["map_difference"], result["score_difference"])
    # A NaN is no match, and is not below anything.
    within = all(difference <= tolerance for difference in differences)
    return {**result, "passed": within and beyond == 0}


def _largest(difference, scale):
    return float(np.max(np.abs(difference) / np.maximum(scale, 1e-12)))
