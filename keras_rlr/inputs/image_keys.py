"""What an image is known by in a feature cache."""

import hashlib

import numpy as np

from keras_rlr.inputs.images import to_array
from keras_rlr.inputs.normal_images import refuse_anomalous
from keras_rlr.inputs.prediction_batches import category_name
from keras_rlr.inputs.resized_image import ResizedImage


def image_key(image):
    """Hexadecimal SHA-256 of an image as delivered: type, shape and values.

    Of a tile, its number is in it too.
    """
    image = to_array(image)
    tile = image.tile if isinstance(image, ResizedImage) else None
    image = image.pixels if isinstance(image, ResizedImage) else image
    image = np.ascontiguousarray(image)
    digest = hashlib.sha256(f"{image.dtype.str} {image.shape}".encode())
    digest.update(image)
    key = digest.hexdigest()
    return key if tile is None else key_of_tile(key, tile)


def key_of_tile(key, number):
    """Returns what a tile of an image is known by, which ends in its number.

    Args:
        key: What else it is known by.
        number: Of the tile, row by row.
    """
    return f"{key}#{number}"


def tile_of_key(key):
    """Returns the number of the tile that a key is of.

    Args:
        key: What `key_of_tile` returned.
    """
    return int(key.rpartition("#")[-1])


def names_images(source):
    """Whether data knows its images without reading them, by `image_keys()`."""
    return (
        source.is_indexed
        and hasattr(source.data, "image_keys")
        and not source.has_labels_beside
    )


def batches_of_keys(source, categories=None):
    """The keys of the images of one pass, by batches; anomalous images are refused.

    Data that names its images, by a method `image_keys()` that returns a string an
    image, is not read.

    Args:
        source: An `ImageSource`.
        categories: A set that gets the names of the categories, or None.

    Returns:
        List of lists of strings.
    """
    categories = set() if categories is None else categories
    if names_images(source):
        categories.update(getattr(source.data, "categories", ()))
        keys, size = list(source.data.image_keys()), source.batch_size
        return [keys[start : start + size] for start in range(0, len(keys), size)]
    batches, seen = [], 0
    for elements in source.batches():
        refuse_anomalous(elements, seen)
        categories.update(filter(None, map(category_name, elements)))
        seen += len(elements)
        batches.append([image_key(element["image"]) for element in elements])
    return batches
