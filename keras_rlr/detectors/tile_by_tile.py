"""What a detector says of large images, in the memory of a few of their tiles."""

import math

import keras
import numpy as np
from keras import ops

from keras_rlr import processes
from keras_rlr.detectors.on_tiles import MOST_AT_ONCE, infer_tiles
from keras_rlr.inputs.host_batches import resized_images

# Of tiles that go through the model at once: Keras keeps all that a network computes
# on the way until its end.
_MOST_PIXELS = 2**17


def goes_tile_by_tile(model):
    """Whether images are inferred so, and never made as one array of float32.

    Several devices or processes share whole images among them.

    Args:
        model: The detector.
    """
    alone = model.distribution is None and processes.count() == 1
    return alone and model.parts_each > MOST_AT_ONCE


def infer_tile_by_tile(model, batches, verbose=0, callbacks=None):
    """Returns what Keras' `predict` would of the batches, a dict of arrays.

    Args:
        model: The detector.
        batches: `PredictionBatches`.
        verbose: As in Keras; the bar counts batches of images.
        callbacks: As in Keras.
    """
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=1,
            steps=batches.num_batches,
            model=model,
        )
    parts = []
    callbacks.on_predict_begin()
    for step, (batch,) in enumerate(batches.generate(resized_images)):
        callbacks.on_predict_batch_begin(step)
        where = batch if isinstance(batch, dict) else {"image": batch}
        outputs = predict_tile_by_tile(model, where.pop("image"), where)
        parts.append(outputs)
        callbacks.on_predict_batch_end(step, {"outputs": outputs})
    callbacks.on_predict_end()
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def predict_tile_by_tile(model, images, where):
    """Returns what the model's call would of the images, without making them.

    Args:
        model: The detector, with a `tiling`.
        images: List of `ResizedImage`s.
        where: What a batch of them has beside: what `WhereToLook` returned; "weight",
            for the loss, and "describe", for "image_features".

    Returns:
        Dict of arrays: "anomaly_map", "anomaly_score" and what was asked for.
    """
    looks_at_parts = model.looks_at_parts(where)
    rows = [_of_image(model, one, looks_at_parts, "weight" in where) for one in images]
    outputs = {name: _stacked([row[name] for row in rows]) for name in rows[0]}
    return {
        name: ops.convert_to_numpy(values)
        for name, values in model.within_region(outputs, where).items()
    }


def _joined(parts):
    # The map of one large image is not copied.
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _stacked(values):
    return np.asarray(values[0])[None] if len(values) == 1 else np.stack(values)


def _of_image(model, image, looks_at_parts, with_loss):
    tiling = model.tiling
    of_rows, of_columns = tiling.weights()
    at_once = _tiles_at_once(model)
    names = ["anomaly_map"]
    if model.has_score_map and looks_at_parts:
        names.append("score_map")
    whole = {name: np.zeros(tiling.whole_size, "float32") for name in names}
    found: dict[str, list] = {}
    for start in range(0, tiling.count, at_once):
        numbers = range(start, min(start + at_once, tiling.count))
        tiles = np.stack([_pixels(image, tiling, number) for number in numbers])
        outputs = infer_tiles(model, tiles, at_once, start, with_loss)
        for i, number in enumerate(numbers):
            row, column = divmod(number, tiling.columns)
            weight = of_rows[row][:, None] * of_columns[column]
            for name in names:
                tiling.cut(whole[name], number)[:] += weight * outputs[name][i]
        for name in outputs.keys() & {"anomaly_score", "loss", "image_features"}:
            found.setdefault(name, []).append(outputs[name])
    # NumPy's maximum is NaN where one score is.
    score = np.max(np.concatenate(found.pop("anomaly_score")))
    means = {name: np.concatenate(v).mean(axis=0) for name, v in found.items()}
    return {**whole, "anomaly_score": score, **means}


def _tiles_at_once(model):
    tiling = model.tiling
    if model.tiles_aligned:
        return 1  # Those of a batch lie in one place.
    most = max(1, _MOST_PIXELS // (tiling.height * tiling.width))
    # The last batch is padded, so it is to be hardly smaller than the others.
    return math.ceil(tiling.count / math.ceil(tiling.count / most))


def _pixels(image, tiling, number):
    return image.part(*tiling.corners[number], tiling.height, tiling.width)
