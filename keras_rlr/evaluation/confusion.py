from keras_rlr.detectors.decision_thresholds import decide

COUNTS = ("true_positive", "false_negative", "false_positive", "true_negative")


def confusion(predictions, thresholds):
    """Counts what a model calls right and wrong at its thresholds.

    Args:
        predictions: `TestPredictions`.
        thresholds: Dict of the threshold of each category; None where there is none.

    Returns:
        Dict by category of dicts by the names of `COUNTS`, positive being anomalous;
        {} if a category has no threshold.
    """
    counts = {}
    for name in predictions.names:
        if thresholds.get(name) is None:
            return {}
        rows = predictions.rows(name)
        called = decide(predictions.scores[rows], thresholds[name])
        labels = predictions.labels[rows]
        values = (
            (called & labels).sum(),
            (~called & labels).sum(),
            (called & ~labels).sum(),
            (~called & ~labels).sum(),
        )
        counts[name] = dict(zip(COUNTS, map(int, values), strict=True))
    return counts
