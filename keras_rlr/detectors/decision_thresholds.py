"""Thresholds from the scores of normal images alone, and decisions by them."""

import json
import math
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_rlr.category_names import known_names
from keras_rlr.detectors.calibration_scores import CalibrationScores
from keras_rlr.detectors.category_statistics import learn_categories
from keras_rlr.detectors.known_categories import UNKNOWN, KnownCategories
from keras_rlr.detectors.pixel_thresholds import PixelThresholds
from keras_rlr.detectors.score_thresholds import (
    MARGINS,
    category_thresholds,
    images_needed,
    threshold_from_scores,
    with_margin,
)

# No finite float32 is far below it; not every runtime knows which numbers are finite.
_LOWEST = -3.4e38
_FILE_OF_0_1 = "category_thresholds.json"


@keras.saving.register_keras_serializable(package="keras_rlr")
class DecisionThresholds(keras.layers.Layer):
    """The scores from which on images are anomalous, saved with a model.

    One threshold is for all images; categories may have their own. Where the images
    themselves tell which category they show, `known` does. `pixels` are the values from
    which on pixels of a map are anomalous.

    Example:

    >>> thresholds = keras_rlr.detectors.decision_thresholds.DecisionThresholds()
    >>> round(thresholds.calibrate(np.arange(100.0), [None] * 100, 0.05), 4)
    95.0095
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Pairs, because Keras replaces dicts by its own, which it empties on loading.
        self._by_category: tuple[tuple[str, float], ...] = ()
        self.pixels = PixelThresholds()
        self.known = KnownCategories(name="known")
        self.calibration_scores = CalibrationScores(name="calibration_scores")
        # Fingerprint of the region of interest that they were set within; None where
        # that is not known.
        self.region: str | None = None
        # Infinite until calibrated; a weight, so that exports hold it. Files say NaN,
        # which JAX finds to be unlike itself where several processes compare weights.
        self.threshold_weight = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.inf),
            trainable=False,
            dtype="float32",
            name="threshold",
        )
        self.built = True
        if keras.backend.backend() == "torch":
            # PyTorch's `load_state_dict` brings the threshold of all images, as Keras'
            # `set_weights` does; those of categories would be of the former weights.
            self.register_load_state_dict_pre_hook(_forget_before_loading)

    @property
    def threshold(self):
        """The threshold of all images, or None before `calibrate`."""
        value = float(ops.convert_to_numpy(self.threshold_weight))
        return value if math.isfinite(value) else None

    @property
    def by_category(self):
        """Dict of the categories' own thresholds."""
        return dict(self._by_category)

    def of(self, category):
        """The threshold of a category: its own, or that of all images."""
        return self.by_category.get(category, self.threshold)

    def complete(self, outputs, categories=None):
        """Adds decisions to what a model says of images.

        Args:
            outputs: Dict of arrays: "anomaly_score" (n,) and, of a model that knows
                categories, "image_features" (n, C).
            categories: List of n names; None where it is to be recognised. By default
                all are.

        Returns:
            The dict without "image_features" and, of a calibrated model, with
            "is_anomalous", boolean: by the threshold of the category, True where a
            score is no finite number, with a warning. If categories are known also
            "category", int32, its number or -1, and "comparable_score"; "is_anomalous"
            is then True where the category is unknown.
        """
        outputs = dict(outputs)
        features = outputs.pop("image_features", None)
        if self.threshold is None:
            return outputs
        scores = outputs["anomaly_score"]
        _warn_of_not_finite(scores)
        own = self.by_category
        forms = dict.fromkeys((*self.known.names, *own))
        given = categories or [None] * len(scores)
        # An empty name is none.
        names = [name or "" for name in known_names(given, forms)]
        thresholds = np.array([own.get(name, self.threshold) for name in names])
        if not self.known.names:
            return {**outputs, "is_anomalous": decide(scores, thresholds)}
        nearest, is_known = self.known.recognize_many(features)
        places = {name: place for place, name in enumerate(self.known.names)}
        told = np.array([places.get(name, UNKNOWN) for name in names], "int32")
        nearest = np.where(told == UNKNOWN, nearest, told).astype("int32")
        is_known = is_known | (told != UNKNOWN)
        thresholds = np.array(self.of_known)[nearest]
        comparable = self.known.comparable(scores, nearest)
        return {
            **outputs,
            "category": np.where(is_known, nearest, np.int32(UNKNOWN)),
            "comparable_score": ops.convert_to_numpy(comparable),
            "is_anomalous": decide(scores, thresholds) | ~is_known,
        }

    def graph_function(self):
        """Returns a function that does to tensors what `complete` does to arrays.

        All images' categories are recognised. The thresholds are those of now; within
        a graph that is being traced they could not be read.
        """
        threshold, of_known, known = self.threshold, self.of_known, self.known

        def complete(outputs):
            outputs = dict(outputs)
            features = outputs.pop("image_features", None)
            if threshold is None:
                return outputs
            score, own = outputs["anomaly_score"], threshold
            if of_known:
                nearest, is_known = known.recognize(features)
                thresholds = ops.convert_to_tensor(of_known, "float32")
                own = ops.take(thresholds, nearest, axis=0)
                unknown = ops.full_like(nearest, UNKNOWN)
                outputs["category"] = ops.where(is_known, nearest, unknown)
                outputs["comparable_score"] = known.comparable(score, nearest)
            # A score that is no finite number is never normal. TensorFlow would make
            # "greater or equal" of "not less", which differ in this.
            is_no_number = ops.logical_or(ops.isnan(score), ops.less(score, _LOWEST))
            is_anomalous = ops.logical_or(ops.greater_equal(score, own), is_no_number)
            if of_known:
                is_anomalous = ops.logical_or(is_anomalous, ops.logical_not(is_known))
            outputs["is_anomalous"] = is_anomalous
            return outputs

        return complete

    def of_images(self, numbers=None):
        """The thresholds of images of categories that were recognised.

        Args:
            numbers: int32 array (n,), "category" of a model's outputs; None where it
                knows none.

        Returns:
            Array (n,), that of all images where a category is unknown; or the
            threshold of all images, None before `calibrate`.
        """
        if numbers is None:
            return self.threshold
        # -1 is the last.
        return np.array([*self.of_known, self.threshold])[numbers]

    @property
    def of_known(self):
        """The thresholds of the categories that are recognised, in their order."""
        return [self.of(name) for name in self.known.names]

    def calibrate(
        self,
        scores,
        categories,
        false_positive_rate,
        compute_dtype="float32",
        features=None,
        appearance=None,
        measures=None,
    ):
        """Takes thresholds from the scores of normal images.

        Args:
            scores: Array (n,).
            categories: List of n names; None where unknown.
            false_positive_rate: Share of new normal images called anomalous.
            compute_dtype: What the model computes in: sets the margin between the
                scores and the thresholds.
            features: Array (n, C), the image features by which categories are
                recognised; None where there are none.
            appearance: The `Appearance` of the categories in training images; None to
                take it from these.
            measures: What else was measured of the images, see `CalibrationScores`.

        Returns:
            The threshold of all images, a Python float.

        Raises:
            ValueError: If there are too few images for the rate.
            FloatingPointError: If a score is NaN or infinite.
        """
        margin = MARGINS[compute_dtype]
        threshold = threshold_from_scores(scores, false_positive_rate, margin)
        own, too_few = category_thresholds(
            scores, categories, false_positive_rate, margin
        )
        known = None
        if features is not None:
            known, unlike = learn_categories(
                scores, features, categories, false_positive_rate, appearance
            )
            for name in too_few:
                if name in unlike:
                    own[name] = with_margin(unlike[name], margin)
        if too_few and known is None:
            warnings.warn(
                f"A false-positive rate of {false_positive_rate:g} needs "
                f"{images_needed(false_positive_rate)} normal images of a category for "
                f"a threshold of its own. There are fewer of {', '.join(too_few)}: the "
                "threshold of all categories together holds there.",
                stacklevel=3,
            )
        self.threshold_weight.assign(threshold)
        self.set_categories(sorted(own.items()))
        self.pixels = PixelThresholds()
        self.known.set(known)
        self.calibration_scores.set(scores, categories, measures)
        return self.threshold

    def copy_from(self, other):
        """Copies the thresholds of another model's.

        Args:
            other: Its `DecisionThresholds`.
        """
        self.threshold_weight.assign(ops.convert_to_numpy(other.threshold_weight))
        self._by_category = other._by_category
        self.pixels = other.pixels
        self.known.set(other.known.statistics)
        self.calibration_scores.copy_from(other.calibration_scores)
        self.region = other.region

    def widen(self, share):
        """Raises all thresholds by a share of each.

        Args:
            share: What `MARGINS` of a coarser dtype has more; 0 or less does nothing.
        """
        if share <= 0 or self.threshold is None:
            return

        def wider(pairs):
            return tuple((name, with_margin(value, share)) for name, value in pairs)

        self.threshold_weight.assign(with_margin(self.threshold, share))
        self._by_category = wider(self._by_category)
        of_all = self.pixels.of_all
        of_all = None if of_all is None else with_margin(of_all, share)
        self.pixels = PixelThresholds(of_all, wider(self.pixels.by_category))

    def forget(self):
        """Removes all thresholds."""
        self.threshold_weight.assign(math.inf)
        self._by_category = ()
        self.pixels = PixelThresholds()
        self.known.set(None)
        self.calibration_scores.forget()
        self.region = None

    def save_own_variables(self, store):
        """Writes all thresholds, for Keras: files of weights have them too."""
        threshold = math.nan if self.threshold is None else self.threshold
        store["threshold"] = np.asarray(threshold, "float32")
        text = json.dumps(self._by_category)
        store["by_category"] = np.frombuffer(text.encode(), "uint8")
        store["pixels"] = np.frombuffer(self.pixels.to_json().encode(), "uint8")
        if self.region is not None:
            # Of one letter at least: HDF5 reads no empty array.
            store["region"] = np.frombuffer(f"#{self.region}".encode(), "uint8")

    def load_own_variables(self, store):
        """Reads all thresholds, for Keras."""
        # Version 0.1 wrote the first alone here, and the others as an asset.
        threshold = store["threshold" if "threshold" in store else "0"]
        threshold = np.asarray(threshold, "float32")
        self.threshold_weight.assign(np.where(np.isnan(threshold), np.inf, threshold))
        self._by_category = ()
        if "by_category" in store:
            self.set_categories(json.loads(bytes(np.asarray(store["by_category"]))))
        self.pixels = PixelThresholds()
        if "pixels" in store:  # Files before it have none.
            self.pixels = PixelThresholds.from_json(bytes(np.asarray(store["pixels"])))
        self.region = None
        if "region" in store:
            self.region = bytes(np.asarray(store["region"])).decode()[1:]

    def load_assets(self, dir_path):
        """Reads what version 0.1 wrote of the categories, for Keras."""
        file = Path(dir_path or "", _FILE_OF_0_1)
        if dir_path and file.is_file():
            self.set_categories(json.loads(file.read_text("utf-8")).items())

    def set_categories(self, pairs):
        """Replaces the categories' own thresholds by pairs of name and threshold."""
        self._by_category = tuple((name, float(value)) for name, value in pairs)


def _forget_before_loading(thresholds, *_):
    thresholds.forget()


def decide(scores, thresholds):
    """Returns whether images are anomalous: the one rule of every part.

    Args:
        scores: Array (n,) or number.
        thresholds: Array (n,) or number.

    Returns:
        Boolean array: True where a score reaches its threshold, both as float32, and
        where a score is no finite number. An image that could not be scored is never
        called normal.
    """
    scores = np.asarray(scores, "float32")
    return ~((scores < np.asarray(thresholds, "float32")) & np.isfinite(scores))


def _warn_of_not_finite(scores):
    unknown = int((~np.isfinite(scores)).sum())
    if unknown:
        warnings.warn(
            f"{unknown} of {len(scores)} anomaly scores are NaN or infinite; these "
            "images are called anomalous, because nothing is known of them. The "
            "model's training diverged, or its numbers overflow in this precision.",
            stacklevel=4,
        )
