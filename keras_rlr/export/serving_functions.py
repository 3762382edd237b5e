"""The signatures of an exported SavedModel."""

from typing import Any

import tensorflow as tf

from keras_rlr.detectors.known_categories import UNKNOWN
from keras_rlr.export.decode_images import (
    NOT_FINITE,
    OK,
    UNKNOWN_CATEGORY,
    decode_images,
    resize_in_graph,
)
from keras_rlr.image_size import checked_image_size


def serving_functions(model, description):
    """Returns the functions that TensorFlow Serving calls, and their inputs.

    Args:
        model: An `RLR` model, trained.
        description: Dict with "model_version", a string, and "categories", a list of
            names.

    Returns:
        Dict of name to (function, *input signatures). Outputs are dicts: "anomaly_map"
        float32 (batch, height, width), "anomaly_score" float32 (batch,); of a
        calibrated model "is_anomalous" bool (batch,); of one that knows categories
        "category" int32 (batch,) and "comparable_score" float32 (batch,) too. A model
        with thresholds of categories has "decide", which takes scores and categories.
    """
    threshold, complete = model.threshold, model.thresholds.graph_function()
    size = model.map_size

    def decide(score, threshold=threshold):
        # A score that is no finite number is never normal. TensorFlow would make
        # "greater or equal" of "not less", which differ in this.
        return (score >= threshold) | ~tf.math.is_finite(score)

    # One graph for all signatures, instead of a copy in each.
    @tf.function(
        input_signature=[tf.TensorSpec((None, *size, 3), tf.float32)],
        autograph=False,
    )
    def infer_resized(images):
        count = tf.shape(images)[0]
        # Convolutions of TensorFlow fail on no image at all.
        images = tf.cond(count == 0, lambda: tf.zeros((1, *size, 3)), lambda: images)
        images = tf.ensure_shape(images, (None, *size, 3))
        batch = {"image": images}
        if model.known_categories:
            batch["describe"] = tf.zeros(tf.shape(images)[:1])
        outputs = complete(model(batch))
        return {name: value[:count] for name, value in outputs.items()}

    # Else every signature that is written builds it anew.
    infer_resized = infer_resized.get_concrete_function()

    def infer(image):
        return infer_resized(_to_size(image, size))

    def score_only(image):
        outputs = infer(image)
        del outputs["anomaly_map"]
        return outputs

    def serve_bytes(image_bytes):
        images, status = decode_images(image_bytes, size, model.bit_depth)
        outputs = infer_resized(images)
        good = status == OK
        outputs["anomaly_map"] = tf.where(
            good[:, None, None], outputs["anomaly_map"], 0.0
        )
        score = tf.where(good, outputs["anomaly_score"], float("nan"))
        outputs["anomaly_score"] = score
        if threshold is not None:
            outputs["is_anomalous"] |= ~good
        if model.known_categories:
            of_none = good & (outputs["category"] == UNKNOWN)
            status = tf.where(of_none, UNKNOWN_CATEGORY, status)
            outputs["category"] = tf.where(good, outputs["category"], UNKNOWN)
            outputs["comparable_score"] = tf.where(
                good, outputs["comparable_score"], float("nan")
            )
        unknown = good & ~tf.math.is_finite(score)
        return {**outputs, "status": tf.where(unknown, NOT_FINITE, status)}

    def info(request):
        count = tf.size(request)

        def repeated(value, dtype):
            value = tf.constant(value, dtype)
            return tf.repeat(value[None], count, axis=0)

        known = {}
        if model.known_categories:
            names = _as_bytes(model.known_categories)
            known["known_categories"] = repeated(names, tf.string)
        return {
            **known,
            "model_version": repeated(description["model_version"], tf.string),
            "categories": repeated(_as_bytes(description["categories"]), tf.string),
            "image_size": repeated(checked_image_size(size), tf.int32),
            "threshold": repeated(
                float("nan") if threshold is None else threshold, tf.float32
            ),
        }

    def decide_by_category(anomaly_score, category):
        chosen = tf.fill(tf.shape(anomaly_score), tf.constant(threshold, tf.float32))
        for name, own in model.thresholds.by_category.items():
            is_it = category == _as_bytes([name])[0]
            chosen = tf.where(is_it, tf.constant(own, tf.float32), chosen)
        return {"is_anomalous": decide(anomaly_score, chosen), "threshold": chosen}

    pixels = (None, None, None, 3)
    functions: dict[str, tuple[Any, ...]] = {
        "serving_default": (infer, tf.TensorSpec(pixels, tf.uint8, "image")),
        "serve_float": (infer, tf.TensorSpec(pixels, tf.float32, "image")),
        "serve_bytes": (
            serve_bytes,
            tf.TensorSpec((None,), tf.string, "image_bytes"),
        ),
        "score_only": (score_only, tf.TensorSpec(pixels, tf.uint8, "image")),
        "info": (info, tf.TensorSpec((None,), tf.string, "request")),
    }
    if threshold is not None and model.thresholds.by_category:
        functions["decide"] = (
            decide_by_category,
            tf.TensorSpec((None,), tf.float32, "anomaly_score"),
            tf.TensorSpec((None,), tf.string, "category"),
        )
    return functions


def _as_bytes(names):
    """Names as tensors have them: those of folders, which need not be UTF-8."""
    return [name.encode("utf-8", "surrogateescape") for name in names]


def _to_size(images, size):
    """float32 images (batch, *size, 3) of a batch of any size, 0 too."""
    count, height, width, _ = tf.unstack(tf.shape(images))
    fits = (height == size[0]) & (width == size[1])
    resized = tf.switch_case(
        tf.where(count == 0, 0, tf.where(fits, 1, 2)),
        [
            lambda: tf.zeros((0, *size, 3)),
            lambda: tf.cast(images, tf.float32),
            lambda: resize_in_graph(images, size),
        ],
    )
    return tf.ensure_shape(resized, (None, *size, 3))
