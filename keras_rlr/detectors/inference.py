"""Maps and scores of a data set part by part, in a memory that does not grow."""

import keras
import numpy as np

from keras_rlr.detectors.tile_by_tile import goes_tile_by_tile, infer_tile_by_tile
from keras_rlr.detectors.unknown_categories import warn_of_unknown_categories
from keras_rlr.inputs.host_batches import no_images
from keras_rlr.inputs.image_source import in_chunks
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.inputs.resize import resize_maps
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.value_ranges import ValueRanges

_BATCHES_A_PART = 4


def infer_parts(model, infer, source, purpose, verbose=0, **options):
    """Yields (batches, outputs) of parts of a data set.

    Data may have `regions_of_interest`, a region or None of each image: see
    `WhereToLook`.

    Args:
        model: The detector.
        infer: A function of `PredictionBatches` that runs the model on them and
            returns a dict of arrays.
        source: An `ImageSource` or `FirstBatches`.
        purpose: What it is for, for messages: "evaluate".
        verbose: Whether to show a progress bar.
        **options: Arguments of `PredictionBatches`.

    Raises:
        ValueError: If there are no images.
    """
    value_ranges = ValueRanges(model.bit_depth)
    data = getattr(source, "data", None)
    look = model.where_to_look(getattr(data, "regions_of_interest", None))
    bar = keras.utils.Progbar(source.num_batches(), verbose=int(bool(verbose)))
    seen = done = size = 0
    categories = []
    source = source.in_size_of(model.map_size, model.bit_depth)
    for part in in_chunks(source, _BATCHES_A_PART):
        batches = PredictionBatches(
            part,
            model.map_size,
            **model.places,
            first_index=seen,
            padded_to=size,
            bit_depth=model.bit_depth,
            value_ranges=value_ranges,
            purpose=purpose,
            look=look,
            **options,
        )
        outputs = infer(batches, verbose=0)
        size = size or len(batches.is_real) // part.num_batches()
        seen += int(batches.is_real.sum())
        categories += batches.categories
        done += part.num_batches()
        yield batches, outputs
        bar.update(done)
    if not seen:
        raise no_images(purpose)
    value_ranges.finish()
    if look is not None and look.names and purpose != "calibrate":
        # Otherwise they need not be known, and `calibrate` learns them.
        warn_of_unknown_categories(model.thresholds, categories, look.names)
    bar.update(done, finalize=True)


def infer_batches(model, predict, batches, **kwargs):
    """What a detector's `call` says of `PredictionBatches`, a dict of arrays.

    Args:
        model: The detector.
        predict: Keras' method of it.
        batches: The `PredictionBatches`.
        **kwargs: Other arguments of Keras' method.
    """
    model.follow_distribution()
    if goes_tile_by_tile(model):
        return infer_tile_by_tile(model, batches, **kwargs)
    outputs = model.run(predict, batches, **kwargs)
    return {name: batches.strip(values) for name, values in outputs.items()}


def infer_resized(model, predict_on_batch, images, where):
    """What a detector's `call` says of images; see `DetectorModel.infer_resized`.

    Args:
        model: The detector.
        predict_on_batch: Keras' method of it.
        images: See `DetectorModel.infer_resized`.
        where: See `DetectorModel.infer_resized`.
    """
    if model.distribution is None:
        describe = np.zeros(len(images), "float32")
        return predict_on_batch({"image": images, "describe": describe, **where})
    looked_at = ValueRanges(16)
    resized = [ResizedImage(image, image.shape, looked_at) for image in images]

    def look(_, positions):
        return {name: rows[np.array(positions, int)] for name, rows in where.items()}

    batches = model.inference_batches(
        "predict", resized, len(resized), with_description=True, look=look
    )
    return model._infer(batches, verbose=0)


def completed(model, outputs, batches, original_size):
    """Returns what `predict` does, of what a detector says of images.

    Args:
        model: The detector.
        outputs: Dict of arrays, as of `DetectorModel.infer_resized`.
        batches: The `PredictionBatches` of the images.
        original_size: See `_resize_maps`.
    """
    warn_of_unknown_categories(model.thresholds, batches.categories)
    outputs = model.thresholds.complete(outputs, batches.categories)
    _resize_maps(model, outputs, batches.sizes, original_size)
    return outputs


def _resize_maps(model, outputs, sizes, original_size):
    """Brings the maps of `predict` to the sizes of their images, if they are to be.

    Args:
        model: The detector.
        outputs: Dict of arrays, whose "anomaly_map" is replaced.
        sizes: (height, width) of each image.
        original_size: True or False; None where that depends on whether the model looks
            at tiles. The maps are then one array if all images have one size.
    """
    if original_size or (original_size is None and model.tiling):
        maps = resize_maps(outputs["anomaly_map"], sizes)
        is_one = original_size is None and len({one.shape for one in maps}) == 1
        outputs["anomaly_map"] = np.stack(maps) if is_one else maps
