import numpy as np

from keras_rlr.detectors.on_tiles import MOST_AT_ONCE
from keras_rlr.detectors.tile_by_tile import predict_tile_by_tile
from keras_rlr.inputs.host_batches import resized_images, stack_images
from keras_rlr.inputs.value_ranges import ValueRanges


def images_at_once(model, batch_size):
    """Returns how many images are predicted at a time: fewer of such as have tiles.

    Args:
        model: The detector.
        batch_size: What the user gave.
    """
    tiled = getattr(model, "tiling", None)
    return min(batch_size, model.inference_batch) if tiled else batch_size


def predict_batch(
    model, images, size, categories=None, value_ranges=None, look=None, positions=None
):
    """What `model.predict` says of a few images, given to it in a batch of `size`.

    A backend that compiles for a shape does so once, however many images are left
    over. What Keras prepares in every `predict` is not paid for a batch.

    Args:
        model: An `RLR` model.
        images: List of `size` images or fewer, arrays (height, width, channels) or
            `ResizedImage`s.
        size: Images of a batch.
        categories: The product each shows, list of names or None, by whose threshold it
            is decided; None where it is to be recognised.
        value_ranges: The `ValueRanges` of all batches of a pass; None for one of their
            own.
        look: What `model.where_to_look` returned for the data set; None for the model's
            own region of interest, of the products that it recognises.
        positions: Of the images in the data set, for `look`; None if they are all.

    Returns:
        Dict of arrays, as `model.predict` does, for the images.
    """
    count = len(images)
    ranges = value_ranges or ValueRanges(getattr(model, "bit_depth", None))
    elements = [{"image": image} for image in images]
    where = {}
    if look is not None:
        where = look(categories or [None] * count, positions or range(count))
    if getattr(model, "parts_each", 1) > MOST_AT_ONCE:
        whole = resized_images(elements, model.map_size, range(count), ranges)
        outputs = predict_tile_by_tile(model, whole, {**where, "describe": None})
    else:
        resized = stack_images(elements, model.map_size, range(count), ranges)
        padding = ((0, size - count), (0, 0), (0, 0), (0, 0))
        batch = [np.pad(resized, padding, mode="edge")]
        if where:
            batch.append(_padded(where, size - count))
        outputs = model.infer_resized(*batch)
        outputs = {name: np.asarray(values)[:count] for name, values in outputs.items()}
    if value_ranges is None:
        ranges.finish()
    if model.threshold is None:
        outputs.pop("image_features", None)
        return outputs
    return model.thresholds.complete(outputs, categories)


def _padded(where, missing):
    return {
        name: np.pad(rows, ((0, missing), *[(0, 0)] * (rows.ndim - 1)), mode="edge")
        for name, rows in where.items()
    }
