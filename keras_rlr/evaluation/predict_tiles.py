"""What a model says of large images, in the memory of a few of their tiles."""

import numpy as np
from keras import ops

from keras_rlr.detectors.on_tiles import infer_tiles
from keras_rlr.inputs.host_batches import resized_image

# Of tiles that go through the model at once: Keras keeps all that a network computes
# on the way until its end.
_MOST_PIXELS = 2**17


def predict_tile_by_tile(model, elements, value_ranges, where=None):
    """Returns what `model.infer_resized` would of the images, without making them.

    Args:
        model: The detector, with a `tiling`.
        elements: Dicts with "image", an array or a `ResizedImage`.
        value_ranges: The `ValueRanges` of the pass.
        where: What `WhereToLook` returned of the images, or None.

    Returns:
        Dict of arrays: "anomaly_map", "anomaly_score" and, of methods that have them,
        "image_features".
    """
    where = {**(where or {}), "describe": None}
    rows = []
    for position, element in enumerate(elements):
        image = resized_image(
            element, position, model.tiling.whole_size, value_ranges.bit_depth
        )
        value_ranges.take_in([image.value_ranges])
        rows.append(_of_image(model, image, model.looks_at_parts(where)))
    outputs = {name: _stacked([row[name] for row in rows]) for name in rows[0]}
    return {
        name: ops.convert_to_numpy(values)
        for name, values in model.within_region(outputs, where).items()
    }


def _stacked(values):
    # The map of one large image is not copied.
    return np.asarray(values[0])[None] if len(values) == 1 else np.stack(values)


def _of_image(model, image, looks_at_parts):
    tiling = model.tiling
    of_rows, of_columns = tiling.weights()
    at_once = max(1, _MOST_PIXELS // (tiling.height * tiling.width))
    if model.tiles_aligned:
        at_once = 1  # Those of a batch lie in one place.
    names = ["anomaly_map"]
    if model.has_score_map and looks_at_parts:
        names.append("score_map")
    whole = {name: np.zeros(tiling.whole_size, "float32") for name in names}
    scores, features = [], []
    for start in range(0, tiling.count, at_once):
        numbers = range(start, min(start + at_once, tiling.count))
        outputs = infer_tiles(
            model,
            np.stack([_pixels(image, tiling, number) for number in numbers]),
            at_once,
            start,
        )
        for i, number in enumerate(numbers):
            row, column = divmod(number, tiling.columns)
            weight = of_rows[row][:, None] * of_columns[column]
            for name in names:
                tiling.cut(whole[name], number)[:] += weight * outputs[name][i]
        scores.append(outputs["anomaly_score"])
        features.append(outputs.get("image_features"))
    result = {
        **whole,
        # NumPy's maximum is NaN where one score is.
        "anomaly_score": np.max(np.concatenate(scores)),
    }
    if features[0] is not None:
        result["image_features"] = np.mean(np.concatenate(features), axis=0)
    return result


def _pixels(image, tiling, number):
    return image.part(*tiling.corners[number], tiling.height, tiling.width)
