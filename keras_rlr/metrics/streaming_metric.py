import math
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.metrics.binned_figures import BinCounts, bin_counts
from keras_rlr.metrics.functional.ranking import labels_and_scores, refuse_masked
from keras_rlr.metrics.score_bins import bin_index, check_resolution

_INFINITIES = np.array([-np.inf, np.inf], "float32").view("int32")


class StreamingMetric(keras.metrics.Metric):
    """Counts normal and anomalous scores in bins of a relative width.

    Memory depends on the resolution alone: two int32 counts a bin. Scores may have
    any range, which need not be known. At most 2^31 - 1 values are counted.

    Args:
        resolution: Leading bits of a float32 score that make its bin, 10 to 24: 20
            bits tell scores apart that differ by 1/2048 of their value, in 8 MB.
        name: Of the metric.
        dtype: As in Keras.
    """

    title = "The metric"

    def __init__(
        self, resolution: int = 20, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.resolution = check_resolution(resolution)
        self.counts = self.add_variable(
            (2, 1 << self.resolution), "zeros", dtype="int32", name="counts"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts labelled scores.

        Args:
            y_true: Labels, boolean or 0 and 1 (anomalous), of any shape.
            y_pred: Scores of that shape; as in Keras (n, 1) is as good as (n,).
            sample_weight: 1 for values that count, 0 for those left out, of a shape
                that broadcasts to the scores', or None. As in Keras one of fewer axes
                has the first ones: (n,) is of n images, and of all values of each.

        Raises:
            ValueError: If shapes differ. Outside of compiled steps, if a score is NaN,
                or a label or weight is neither 0 nor 1; compiled steps can't look at
                values: there a NaN makes the result NaN.
        """
        _refuse_other_shapes(y_true, y_pred)
        if is_traced(y_true, y_pred, sample_weight):
            added = self._added_in_step(y_true, y_pred, sample_weight)
        else:
            added = self._added_on_host(y_true, y_pred, sample_weight)
        self.counts.assign(self.counts + added)

    def _added_on_host(self, y_true, y_pred, sample_weight):
        """By NumPy: backends that compile would for each number of scores anew."""
        refuse_masked(y_true, y_pred)
        y_true, y_pred = ops.convert_to_numpy(y_true), ops.convert_to_numpy(y_pred)
        # Of the same values, but for an axis of one.
        anomalous, scores = labels_and_scores(y_true.reshape(-1), y_pred.reshape(-1))
        scores = scores.astype("float32")
        scores[scores == 0] = 0  # -0 has other bits
        bins = bin_index(scores.view("int32"), self.resolution, np.where)
        place = bins + anomalous * (1 << self.resolution)
        if sample_weight is not None:
            weights = self._checked(ops.convert_to_numpy(sample_weight))
            counts = _of_first_axes(weights != 0, y_pred)
            place = place[np.broadcast_to(counts, y_pred.shape).reshape(-1)]
        added = np.bincount(place, minlength=2 << self.resolution)
        return added.astype("int32").reshape(self.counts.shape)

    def _added_in_step(self, y_true, y_pred, sample_weight):
        # With a last axis of unknown length TensorFlow has no view.
        scores = ops.reshape(ops.cast(y_pred, "float32"), (-1, 1))
        # -0 has other bits than 0.
        scores = ops.where(scores == 0, ops.zeros_like(scores), scores)
        bits = ops.reshape(ops.view(scores, "int32"), (-1,))
        bins = bin_index(bits, self.resolution, ops.where)
        anomalous = ops.reshape(ops.cast(y_true, "bool"), (-1,))
        place = bins + ops.cast(anomalous, "int32") * (1 << self.resolution)
        counted = ops.ones_like(place)
        if sample_weight is not None:
            if not is_traced(sample_weight):
                self._checked(ops.convert_to_numpy(sample_weight))
            counted = ops.cast(ops.not_equal(sample_weight, 0), "int32")
            counted = _of_first_axes(counted, y_pred)
            counted = ops.broadcast_to(counted, ops.shape(y_pred))
        added = ops.segment_sum(
            ops.reshape(counted, (-1,)), place, num_segments=2 << self.resolution
        )
        return ops.reshape(added, self.counts.shape)

    def _checked(self, weights):
        if not np.isin(weights, (0, 1)).all():
            raise ValueError(
                f"{self.title} counts values or leaves them out: `sample_weight` "
                f"must be 0 or 1. Received: {weights[~np.isin(weights, (0, 1))][0]!r}"
            )
        return weights

    def result(self) -> Any:
        """Returns the value; NaN, with a `UserWarning`, if a class is absent."""
        # What is beyond the infinities was NaN.
        first, last = bin_index(_INFINITIES, self.resolution, np.where).tolist()
        if not is_traced(self.counts.value):
            normal, anomalous = self.host_counts()
            self._warn_if_undefined(normal.total, anomalous.total)
            odd = sum(
                counts.inside[:first].sum() + counts.inside[last + 1 :].sum()
                for counts in (normal, anomalous)
            )
            is_defined = normal.total and anomalous.total and not odd
            value = self.figure(normal, anomalous, np)[0] if is_defined else math.nan
            return ops.convert_to_tensor(value, "float32")
        counts = self.counts.value
        reached = ops.flip(ops.cumsum(ops.flip(counts, axis=1), axis=1), axis=1)
        normal, anomalous = (
            BinCounts(ops.cast(counts[i], "float32"), ops.cast(reached[i], "float32"))
            for i in (0, 1)
        )
        defined = ops.logical_and(normal.total > 0, anomalous.total > 0)
        odd = ops.sum(counts[:, last + 1 :]) + ops.sum(counts[:, :first])
        defined = ops.logical_and(defined, odd == 0)
        value = self.figure(normal, anomalous, ops)[0]
        return ops.where(defined, value, ops.full_like(value, math.nan))

    def error_bound(self) -> float:
        """Returns how far the result may be from the exact value, a Python float.

        It is computed from what was counted: the exact value lies within the bound
        of the result, besides the rounding of float32 (1e-6).
        """
        normal, anomalous = self.host_counts()
        if not normal.total or not anomalous.total:
            return math.nan
        value, lowest, highest = self.figure(normal, anomalous, np)[:3]
        return float(max(value - lowest, highest - value))

    def host_counts(self) -> tuple[BinCounts, BinCounts]:
        """Returns NumPy `BinCounts` of the normal and of the anomalous values."""
        counts = ops.convert_to_numpy(self.counts)
        return bin_counts(counts[0]), bin_counts(counts[1])

    def figure(self, normal: Any, anomalous: Any, backend: Any) -> tuple[Any, ...]:
        """Returns (value, lowest, highest, …) of `BinCounts`; for subclasses."""
        raise TypeError(f"{type(self).__name__} must define `figure`.")

    def _warn_if_undefined(self, normal, anomalous):
        if not normal or not anomalous:
            warnings.warn(
                f"{self.title} is undefined without both classes: received "
                f"{anomalous:.0f} anomalous and {normal:.0f} normal values. Returning "
                "NaN.",
                stacklevel=3,
            )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "resolution": self.resolution}


def _refuse_other_shapes(y_true, y_pred):
    """Refuses labels of another shape than the scores, unless by a last axis of one."""
    shapes = _shape(y_true), _shape(y_pred)
    if None in shapes:
        return
    shorter, longer = sorted(shapes, key=len)
    if len(longer) == len(shorter) + 1 and longer[-1] == 1:
        longer = longer[:-1]
    pairs = zip(shorter, longer, strict=False)
    is_other = any(a != b for a, b in pairs if None not in (a, b))
    if is_other or len(shorter) != len(longer):
        raise ValueError(
            "`y_true` and `y_pred` must have the same shape. Received "
            f"{shapes[0]} and {shapes[1]}."
        )


def _of_first_axes(weights, scores):
    """Weights with as many axes as scores; where they have fewer, the first ones."""
    shape, own = _shape(scores), _shape(weights)
    if shape is None or own is None:
        return weights
    if len(own) == len(shape) + 1 and own[-1] == 1:
        return weights[..., 0]
    return weights[(..., *[None] * (len(shape) - len(own)))]


def _shape(values):
    """The shape as a tuple; None of a tensor that TensorFlow knows nothing of."""
    shape = values.shape if hasattr(values, "shape") else np.shape(values)
    return None if getattr(shape, "rank", 0) is None else tuple(shape)


def is_traced(*values: Any) -> bool:
    """Whether any of the values is known only when a compiled step runs."""
    if keras.backend.backend() == "jax":
        import jax

        return any(isinstance(value, jax.core.Tracer) for value in values)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.inside_function()
    return False
