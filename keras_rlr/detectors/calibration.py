"""What `AnomalyDetector.calibrate` does with normal images."""

import warnings

import numpy as np

from keras_rlr.category_names import known_names
from keras_rlr.detectors.category_statistics import (
    appearance_of,
    known_appearance,
    standardized_thresholds,
)
from keras_rlr.detectors.pixel_thresholds import PixelThresholds
from keras_rlr.detectors.score_thresholds import (
    MARGINS,
    category_thresholds,
    refuse_not_finite,
    threshold_from_scores,
    with_margin,
)
from keras_rlr.inputs.image_measures import MEASURES


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
    measured: list[dict[str, float]] = []
    scores, peaks, features, categories = _normal_images(model, source, measured)
    before = {*model.known_categories, *model.thresholds.by_category}
    known = sorted(before.union(model.trained_categories))
    given = categories = known_names(categories, known)
    appearance = None
    if features is not None and model.thresholds.known.names:
        categories = _recognized(model.thresholds.known, features, categories)
        if categories is not given and any(name is not None for name in categories):
            # What was recognised says nothing new of how to recognise it.
            appearance = known_appearance(
                model.thresholds.known.statistics, set(categories)
            )
    if training_source is not None and features is not None:
        _, _, seen, names = _normal_images(model, training_source)
        named = np.array([name is not None for name in names], bool)
        if named.any():
            names = known_names(names, sorted({*known, *filter(None, categories)}))
            names = np.array(names, object)[named]
            appearance = appearance_of(seen[named], names)
    # Before a threshold is set; scores that are not finite have an error of their own.
    if np.isfinite(scores).all():
        refuse_not_finite(peaks, "be calibrated", "largest values of anomaly maps")
    threshold = model.thresholds.calibrate(
        scores,
        categories,
        false_positive_rate,
        model.compute_dtype,
        features,
        appearance,
        {name: [each[name] for each in measured] for name in MEASURES},
    )
    model.thresholds.region = model.region_fingerprint
    model.thresholds.pixels = pixel_thresholds(
        peaks,
        categories,
        false_positive_rate,
        model.thresholds.by_category,
        MARGINS[model.compute_dtype],
    )
    model.warn_of_unrecognized_regions()
    _warn_of_untested_categories(model, before, categories)
    _warn_of_hardly_known(model.thresholds.known, categories, appearance)
    if any(name is not None for name in given):
        _warn_of_unrecognized(model.thresholds.known, features, given)
    return threshold


def pixel_thresholds(
    peaks, categories, false_positive_rate, names=(), margin=MARGINS["float32"]
):
    """The values that pixels of normal images' maps stay below.

    They are taken as those of scores are, from the largest value of each image's map:
    at most a share of `false_positive_rate` of new normal images has any region.

    Args:
        peaks: Array (n,): the largest value of the map of each of n normal images.
        categories: List of n names; None where unknown.
        false_positive_rate: Share of new normal images that may have a region.
        names: The categories that are to have thresholds of their own: of its own peaks
            alone where it has images enough, else of all peaks, standardised.
        margin: See `MARGINS`.

    Returns:
        `PixelThresholds`.

    Raises:
        ValueError: If there are too few images for the rate.
    """
    own, too_few = category_thresholds(peaks, categories, false_positive_rate, margin)
    if set(too_few) & set(names):
        shared = standardized_thresholds(peaks, categories, false_positive_rate)
        own |= {name: with_margin(shared[name], margin) for name in too_few}
    of_all = threshold_from_scores(peaks, false_positive_rate, margin)
    chosen = tuple((name, own[name]) for name in sorted(own) if name in names)
    return PixelThresholds(of_all, chosen)


def _normal_images(model, source, measured=None):
    """What a model says of images; what is measured of them is added to a list."""
    scores, peaks, parts, categories = [], [], [], []
    for batches, outputs in model.infer_parts(
        source,
        purpose="calibrate",
        normal_only=True,
        with_description=True,
        with_measures=measured is not None,
        measured_region=model.common_region,
    ):
        scores.append(outputs["anomaly_score"])
        # No map is kept.
        peaks += [float(np.max(values)) for values in outputs["anomaly_map"]]
        categories += batches.categories
        if measured is not None:
            measured += batches.measures
        if "image_features" in outputs:
            parts.append(outputs["image_features"])
    features = np.concatenate(parts) if parts else None
    if features is not None and not np.isfinite(features).all():
        # Scores of such images are refused with a message of their own.
        features = None
    return np.concatenate(scores), np.array(peaks, "float32"), features, categories


def _warn_of_untested_categories(model, before, categories):
    """Warns of products whose thresholds are lost, or that were never given any.

    Args:
        model: The calibrated detector.
        before: The categories that it recognised or had thresholds of.
        categories: Those of the images, None where unknown.
    """
    names = model.known_categories
    if names:
        expected = before.union(model.trained_categories) - set(names)
        if expected:
            warnings.warn(
                f"The model recognises {', '.join(names)}, but was trained on "
                f"{', '.join(sorted(expected))} too, of which there was no image to "
                "calibrate on: images of these will be called anomalous, because they "
                "show no product that it knows. Calibrate on some of each.",
                stacklevel=4,
            )
        return
    # Of those with images it has been said why they have none.
    lost = before - set(model.thresholds.by_category) - set(categories)
    if lost:
        warnings.warn(
            f"The thresholds of {', '.join(sorted(lost))} are gone, because there was "
            "no image of these to calibrate on: the threshold of all images holds "
            "for them. Calibrate on some of each.",
            stacklevel=4,
        )


def _warn_of_hardly_known(known, categories, appearance):
    """Warns of products of which too little is known to recognise or decide them.

    Args:
        known: The `KnownCategories` of now.
        categories: Those of the images, None where unknown.
        appearance: The `Appearance` that there was before, or None.
    """
    if appearance is not None and not any(categories):
        warnings.warn(
            f"It is known what {', '.join(appearance.names)} look like, but not what "
            "the images to calibrate on show: products are not told apart, and the "
            "threshold of all images holds where no category is given. Give the "
            "category of each.",
            stacklevel=4,
        )
    if untested := sorted(set(known.names).difference(categories)):
        warnings.warn(
            f"There was no image of {', '.join(untested)} to calibrate on: the model "
            "recognises such images, and the threshold of all images decides them. "
            "Calibrate on some of each.",
            stacklevel=4,
        )
    if known.statistics is None:
        return
    # n / (n + 1) of one image.
    pairs = zip(known.names, known.statistics.discounts, strict=True)
    if single := [name for name, discount in pairs if discount <= 0.5]:
        warnings.warn(
            "Of each of these there was a single image to say what it looks like: "
            f"{', '.join(single)}. New images of it may be taken for another product, "
            "or for none and so be called anomalous. Train or calibrate on more.",
            stacklevel=4,
        )


def _warn_of_unrecognized(known, features, categories):
    """Warns of normal images without a category that `predict` calls anomalous."""
    unnamed = np.array([name is None for name in categories], bool)
    if not (known.names and unnamed.any()):
        return
    _, is_known = known.recognize_many(features)
    strange = int((unnamed & ~is_known).sum())
    if strange:
        warnings.warn(
            f"The model recognises {', '.join(known.names)}, and {strange} of "
            f"{len(categories)} normal images, which came without a category, show "
            "none of these: images like them will be called anomalous. Give the "
            "category of every image, or of none.",
            stacklevel=4,
        )


def _recognized(known, features, categories):
    """The categories; of images that come without any, those that are recognised."""
    missing = [name is None for name in categories]
    if not all(missing):
        return categories
    nearest, is_known = known.recognize_many(features)
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
