"""What `AnomalyDetector.calibrate` does with normal images."""

import warnings

import numpy as np
from keras import ops

from keras_rlr.detectors.category_statistics import appearance_of


def calibrate(model, source, false_positive_rate, training_source=None):
    """Sets a detector's thresholds, and lets it know the categories of the images.

    Args:
        model: The detector.
        source: An `ImageSource` or `FirstBatches` of normal images.
        false_positive_rate: See `AnomalyDetector.calibrate`.
        training_source: The same of images that the model was trained on, or None.

    Returns:
        The threshold of all images.
    """
    scores, features, categories = _normal_images(model, source)
    if features is not None and model.thresholds.known.names:
        categories = _recognized(model.thresholds.known, features, categories)
    appearance = None
    if training_source is not None and features is not None:
        _, seen, names = _normal_images(model, training_source)
        named = np.array([name is not None for name in names], bool)
        if named.any():
            names = np.array(names, object)[named]
            appearance = appearance_of(seen[named], names)
    return model.thresholds.calibrate(
        scores,
        categories,
        false_positive_rate,
        model.compute_dtype,
        features,
        appearance,
    )


def _normal_images(model, source):
    scores, parts, categories = [], [], []
    for batches, outputs in model.infer_parts(
        source, purpose="calibrate", normal_only=True, with_description=True
    ):
        scores.append(outputs["anomaly_score"])
        categories += batches.categories
        if "image_features" in outputs:
            parts.append(outputs["image_features"])
    features = np.concatenate(parts) if parts else None
    if features is not None and not np.isfinite(features).all():
        # Scores of such images are refused with a message of their own.
        features = None
    return np.concatenate(scores), features, categories


def _recognized(known, features, categories):
    """The categories; of images that come without any, those that are recognised."""
    missing = [name is None for name in categories]
    if not all(missing):
        return categories
    nearest, is_known = map(ops.convert_to_numpy, known.recognize(features))
    unknown = int((~is_known).sum())
    if unknown:
        warnings.warn(
            f"{unknown} of {len(categories)} normal images show no product that the "
            f"model knows ({', '.join(known.names)}): they count for the threshold of "
            "all images alone.",
            stacklevel=4,
        )
    return [
        known.names[number] if is_of_it else None
        for number, is_of_it in zip(nearest, is_known, strict=True)
    ]
