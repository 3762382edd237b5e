"""What loaders yield and sequences hold, to dicts of one image each.

The rule that tells a batch from an image with its label:

- A tuple is `(image, label)` or `(images, labels)`, never a batch of images. A third
  part, Keras' sample weight, must be 1 everywhere. A tuple of dicts or of pairs is a
  batch of these.
- A list is a batch: of images, of dicts, of `(image, label)` pairs. PyTorch turns a
  tuple into a list, so a list whose parts can't all be elements is read as a tuple:
  `[images, labels]` and `[image, label]`.
- A dict or an array is a batch if its images have rank 4, are ragged or a list.
"""

import os
import re
import warnings

import numpy as np

from keras_rlr.inputs.images import to_array, to_image
from keras_rlr.inputs.labels import UnusableLabel
from keras_rlr.inputs.pillow_images import is_pillow

KEYS = ("image", "label", "mask", "category", "path")
_CHANNELS = (1, 2, 3, 4)
# What other packages call a label or a mask, written small and without underscores.
_LIKE = {
    "label": re.compile(
        "(gt)?labels?|labelindex|targets?|y|(is)?(anomal(y|ous)|defect(ive)?)"
    ),
    "mask": re.compile("(gt|anomaly|defect)?masks?|groundtruths?|gts?"),
}


def is_batch(item, grey=False):
    """Whether an item of a loader is a batch, and not one image.

    Args:
        item: What the loader yields, or the specification of a tf.data.Dataset.
        grey: Whether (a, b, c) without a channel axis is known to be a batch of grey
            images, and not an image of many channels.

    Raises:
        ValueError: If it can be both, or neither.
    """
    if holds_elements(item):
        return True
    images = _columns(item)["image"]
    if is_ragged(images) or isinstance(images, list | tuple):
        return True
    rank = _rank(images)
    if rank == 3 and not _has_channels(images):
        if grey:
            return True
        raise ValueError(
            f"Received an item of shape {tuple(images.shape)}: a batch of grey images "
            "without a channel axis, or one image of many channels? Images must be "
            "(height, width, channels) with 1, 2, 3 or 4 channels last. Add the axis "
            "to grey ones: images[..., None]."
        )
    return rank not in (2, 3)


def element(item, beside=None):
    """The dict of one image and what came with it.

    Args:
        item: A dict, an image or `(image, label)`.
        beside: Dict of a "label" or "sample_weight" that was given apart, or None.

    Returns:
        Dict of "image", an array, and of "label", "mask", "category", "path" and
        "sample_weight" where there are any.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(item, list):
        item = _pair_or_image(item)
    entry = _columns(item)
    for key, value in (beside or {}).items():
        _refuse_two(key, entry)
        entry[key] = value
    _refuse_path(entry["image"])
    entry["image"] = to_image(entry["image"])
    return _without_twin(entry)


def split(item):
    """The elements of a batch, a list of dicts as of `element`.

    Raises:
        ValueError: If the batch is malformed.
    """
    if holds_elements(item):
        return [element(part) for part in item]
    columns = _columns(item)
    for image in columns["image"] if isinstance(columns["image"], list) else ():
        _refuse_path(image)
    images = rows(columns.pop("image"))
    if isinstance(images, np.ndarray):
        if images.ndim == 3 and not _has_channels(images):
            images = images[..., None]
        if images.ndim != 4:
            raise ValueError(
                "A batch of images must be (batch, height, width, channels). Received "
                f"shape {images.shape}."
            )
    elements = [{"image": to_image(image)} for image in images]
    for key, value in columns.items():
        column = column_rows(key, value, len(elements))
        for entry, row in zip(elements, column, strict=True):
            if row is not None:
                entry[key] = row
    return [_without_twin(entry) for entry in elements]


def refuse_unclear_list(item):
    """Refuses a list of a loader that does not batch, if it may have been a tuple.

    PyTorch turns tuples into lists there: is it a batch, or an image and its mask, or
    an image paired with itself?

    Raises:
        ValueError: If two images of one size have other channels, or are the same.
    """
    if not (
        isinstance(item, list) and len(item) in (2, 3) and all(map(is_image, item))
    ):
        return
    first, second = (to_image(part) for part in item[:2])
    if first.shape[:2] != second.shape[:2]:
        return
    same = np.array_equal(first, second) and first.min() < first.max()
    if same or first.shape != second.shape:
        raise ValueError(
            "Received a list of two images of one size that are the same, or of other "
            "channels: a batch, or a tuple that PyTorch made a list of? Give images "
            "with their masks as dicts with 'image', 'label' and 'mask', and images "
            "that have none alone."
        )


def column_rows(key, value, count):
    """The parts of what came with `count` images, one for each.

    A label that can't be divided is kept, to be refused where labels are used.

    Raises:
        ValueError: If there are more or fewer than images, or there is one alone.
    """
    if not _has_rows(value):
        if key in ("label", "sample_weight"):
            what = "one label" if key == "label" else "one sample weight"
            return [UnusableLabel(f"{what} for {count} images")] * count
        raise ValueError(
            f"{count} images came with {value!r:.80} alone as {key!r}. There must be "
            f"one for each image: give a list, as [{key}] * {count} where all have the "
            "same."
        )
    parts = rows(value)
    if len(parts) != count:
        raise ValueError(
            f"{count} images came with {len(parts)} values of {key!r}. There must be "
            "one for each image."
        )
    return parts


def rows(value):
    """Rows of a column: an array, or a list of arrays for what is ragged or listed.

    Listed images of Pillow stay: what they become depends on the column.
    """
    if is_ragged(value):
        return [_dense(row) for row in value]
    if isinstance(value, list | tuple):
        return [None if row is None else _row(row) for row in value]
    return to_array(value)


def holds_elements(item):
    """Whether each part of a list or tuple is one image, perhaps with a label."""
    if not isinstance(item, list | tuple) or not item:
        return False
    bare = isinstance(item, list)
    if bare and all(isinstance(part, dict) for part in item):
        return True
    return all(_is_element(part, bare) for part in item)


def is_image(value):
    """Whether a value has the rank of one image."""
    return not is_ragged(value) and _rank(value) in (2, 3)


def is_ragged(value):
    """Whether a value is a ragged tensor of TensorFlow or a nested one of PyTorch."""
    return hasattr(value, "ragged_rank") or bool(getattr(value, "is_nested", False))


def known_columns(item):
    """The entries of a dict that are read; warns of a label or mask that is not.

    Args:
        item: Dict of an image, or of a batch.
    """
    known = {key: item[key] for key in KEYS if item.get(key) is not None}
    for key, like in _LIKE.items():
        if key in known:
            continue
        for other in set(item).difference(KEYS):
            if like.fullmatch(re.sub(r"[\W_]", "", str(other)).casefold()):
                # Of this line, so that it is said once a process.
                warnings.warn(
                    f"The images came with {other!r}, which is not read: a {key} is "
                    f"read from the key {key!r}. Rename it if it is one, or leave it "
                    "out.",
                    stacklevel=1,
                )
    return known


def _columns(item):
    if isinstance(item, dict):
        if "image" not in item:
            raise ValueError(
                "Elements that are dicts must have the key 'image'. Received the keys "
                f"{sorted(map(str, item))}."
            )
        return known_columns(item)
    if not isinstance(item, tuple | list):
        return {"image": item}
    if not 1 <= len(item) <= 3:
        raise ValueError(
            f"Received a {type(item).__name__} of {len(item)} parts. A tuple is "
            "(image, label), or (images, labels) of a batch. Make a batch of images a "
            "list, and give what belongs to an image in dicts with 'image', 'label', "
            "'mask', 'category'."
        )
    first, *others = item
    columns = _columns(first) if isinstance(first, dict) else {"image": first}
    for key, value in zip(("label", "sample_weight"), others, strict=False):
        if value is None:
            continue
        _refuse_two(key, columns)
        columns[key] = value
    return columns


def _refuse_path(image):
    if isinstance(image, str | bytes | os.PathLike):
        raise ValueError(
            f"Received the path of a file, {image!r:.80}, where an image belongs. Read "
            "it: `[keras_rlr.datasets.read_image(path) for path in paths]`; a whole "
            "folder is read by `keras_rlr.datasets.FolderDataset` or `keras-rlr "
            "predict`."
        )


def _refuse_two(key, columns):
    if key in columns:
        raise ValueError(
            f"Received a {key.replace('_', ' ')} twice for the same images, with them "
            "and apart. Give it once."
        )


def _is_element(part, bare):
    if isinstance(part, dict):
        return "image" in part and not _is_stack(part["image"])
    if isinstance(part, list | tuple):
        return (
            1 <= len(part) <= 3
            and is_image(part[0])
            and not (len(part) > 1 and is_image(part[1]))
        )
    return bare and is_image(part) and (_rank(part) == 2 or _has_channels(part))


def _is_stack(images):
    return isinstance(images, list | tuple) or not is_image(images)


def _pair_or_image(item):
    """A list in a sequence: `[image, label]`, or an image as nested lists."""
    if not item or not is_image(item[0]):
        return to_array(item)
    if len(item) > 1 and is_image(item[1]):
        raise ValueError(
            f"An entry of a sequence is one image. Received a list of {len(item)} "
            "images: give the images themselves, one after the other."
        )
    return tuple(item)


def _without_twin(entry):
    """Refuses an image where the label belongs, but for the image itself.

    Autoencoders are trained on pairs of an image and the same image: it counts once.
    """
    label = entry.get("label")
    if label is None or not is_image(label):
        return entry
    image, other = entry["image"], to_image(label)
    if image.shape != other.shape or not np.array_equal(image, other):
        raise ValueError(
            f"The second part of a tuple is the label. Received an array of shape "
            f"{other.shape} beside an image of shape {image.shape}. Make a batch of "
            "images a list; give masks in dicts with 'image', 'label' and 'mask'; give "
            "the images alone where there are no labels."
        )
    return {key: value for key, value in entry.items() if key != "label"}


def _has_channels(images):
    """Whether the last axis can be channels; an image of Pillow has some."""
    if is_pillow(images):
        return True
    channels = (
        np.shape(images)[-1] if not hasattr(images, "shape") else images.shape[-1]
    )
    return channels is None or channels in _CHANNELS


def _rank(value):
    """Number of axes; None of what is no array."""
    if value is None or isinstance(value, str | bytes | dict | list | tuple):
        return None
    if is_pillow(value):
        return 3
    if not hasattr(value, "shape"):
        return np.ndim(value)
    if getattr(value.shape, "rank", 0) is None:
        raise ValueError(
            "The images of the tf.data.Dataset have no known rank. Give them one "
            "with `image.set_shape([None, None, 3])` in a `map`."
        )
    return len(value.shape)


def _has_rows(value):
    if isinstance(value, list | tuple) or is_ragged(value):
        return True
    return (_rank(value) or 0) >= 1


def _row(row):
    is_kept = isinstance(row, str | bytes | dict) or is_pillow(row)
    return row if is_kept else to_array(row)


def _dense(row):
    return to_array(row.to_tensor() if hasattr(row, "to_tensor") else row)
