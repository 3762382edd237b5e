import itertools

import keras
import numpy as np

from keras_rlr.inputs.images import to_array
from keras_rlr.inputs.read_ahead import read_ahead

SUPPORTED = (
    "arrays (images, height, width, channels), lists of images of any sizes, "
    "sequences of images or of dicts with 'image', tf.data.Dataset, "
    "keras.utils.PyDataset and torch.utils.data.DataLoader"
)


class ImageSource:
    """One interface to every kind of data set: a stream of elements or batches.

    Args:
        data: What the user passed; one of `SUPPORTED`.
        batch_size: Images a batch, for data that is not batched already.

    Raises:
        ValueError: If the kind of data is not supported.
    """

    def __init__(self, data, batch_size):
        self.batch_size = batch_size
        self.data = _as_indexed(data)
        self.is_indexed = self.data is not None
        if not self.is_indexed:
            self.data = data
            if not (_is_dataset(data) or isinstance(data, keras.utils.PyDataset)):
                raise ValueError(
                    f"Data of type {type(data).__name__} can't be read. Expected "
                    f"{SUPPORTED}."
                )

    def num_batches(self):
        """Number of batches of one pass, or None if only a pass can tell."""
        if self.is_indexed:
            return -(-_length(self.data) // self.batch_size)
        if isinstance(self.data, keras.utils.PyDataset):
            return self.data.num_batches
        if hasattr(self.data, "element_spec"):
            count = int(self.data.cardinality())
            if count < 0:
                return None
            return count if _is_batched(self.data) else -(-count // self.batch_size)
        if self.data.batch_sampler is None:
            # The loader does not batch; its items may be images or batches.
            return None
        try:
            return len(self.data)
        except TypeError:
            return None

    def batches(self, order_seed=None):
        """Yields lists of elements, each a dict with an "image" array at least.

        Args:
            order_seed: None for the data's own order; a sequence of integers for a
                shuffled one that is a pure function of them. tf.data and PyTorch
                loaders keep their own order.
        """
        if self.is_indexed:
            count = _length(self.data)
            yield from self.pick(shuffled_order(count, order_seed))
        elif isinstance(self.data, keras.utils.PyDataset):
            for index in shuffled_order(self.data.num_batches, order_seed):
                yield _split(self.data[int(index)])
            self.data.on_epoch_end()
        else:
            yield from self._stream()

    def pick(self, positions):
        """Yields batches of the elements at some positions of indexed data."""

        def read(position):
            return _element(_pick(self.data, int(position)))

        # Whether a user's own data bears several threads is not known.
        from_files = getattr(self.data, "reads_files", False)
        elements = read_ahead(read, positions) if from_files else map(read, positions)
        while batch := list(itertools.islice(elements, self.batch_size)):
            yield batch

    def chunks(self, batches_each):
        """Yields the batches of one pass as `BatchList`s of so many at most."""
        stream = self.batches()
        while chunk := list(itertools.islice(stream, batches_each)):
            yield BatchList(chunk, self.batch_size)

    def _stream(self):
        pending = []
        for item in self.data:
            image = _element(item)["image"]
            if _rank(image) in (2, 3):
                pending.append(_element(item, convert=True))
                if len(pending) == self.batch_size:
                    yield pending
                    pending = []
            else:
                if pending:
                    yield pending
                    pending = []
                yield _split(item)
        if pending:
            yield pending


class BatchList:
    """Batches that were read already, in place of an `ImageSource`.

    Args:
        elements: List of batches, lists of elements.
        batch_size: Images a batch.
    """

    def __init__(self, elements, batch_size):
        self.elements = elements
        self.batch_size = batch_size

    def num_batches(self):
        """Number of batches."""
        return len(self.elements)

    def batches(self, order_seed=None):
        """Yields the batches, in their order."""
        yield from self.elements


def _is_dataset(data):
    is_tf = hasattr(data, "element_spec") and hasattr(data, "cardinality")
    is_loader = hasattr(data, "dataset") and hasattr(data, "batch_sampler")
    return is_tf or is_loader


def _is_batched(dataset):
    spec = _element(dataset.element_spec)["image"]
    rank = spec.shape.rank
    if rank is None:
        raise ValueError(
            "The images of the tf.data.Dataset have no known rank. Give them one "
            "with `image.set_shape([None, None, 3])` in a `map`."
        )
    return rank not in (2, 3)


def _as_indexed(data):
    if isinstance(data, dict):
        return {key: to_array(value) for key, value in data.items()}
    if isinstance(data, tuple) and data and _rank(data[0]) == 4:
        data = data[0]
    if _is_dataset(data) or isinstance(data, keras.utils.PyDataset):
        return None
    if hasattr(data, "shape"):
        array = to_array(data)
        if array.ndim == 3 and array.shape[-1] in (1, 3, 4):
            raise ValueError(
                f"Received one array of shape {array.shape}, which looks like a "
                "single image. Add a batch axis: images[None]."
            )
        if array.ndim not in (3, 4):
            raise ValueError(
                "An array of images must be (images, height, width, channels). "
                f"Received shape {array.shape}."
            )
        return array[..., None] if array.ndim == 3 else array
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        if isinstance(data, str | bytes):
            return None
        return data
    return None


def _length(data):
    if isinstance(data, dict):
        if "image" not in data:
            raise ValueError(_no_image(data))
        return len(data["image"])
    return len(data)


def _pick(data, index):
    if isinstance(data, dict):
        return {key: value[index] for key, value in data.items()}
    return data[index]


def shuffled_order(count, order_seed):
    """The positions below `count`, in their order or in that of a seed."""
    if order_seed is None:
        return np.arange(count)
    generator = np.random.Generator(
        np.random.Philox(np.random.SeedSequence(order_seed))
    )
    return generator.permutation(count)


def _rank(value):
    if hasattr(value, "shape"):
        return len(value.shape)
    return np.ndim(value) if not isinstance(value, list) else 4


def _no_image(item):
    return (
        "Elements that are dicts must have the key 'image'. Received the keys "
        f"{sorted(map(str, item))}."
    )


def _element(item, convert=False):
    """The dict of an element or batch: `(image, anything)` loses the second."""
    if isinstance(item, dict):
        if "image" not in item:
            raise ValueError(_no_image(item))
        element = {
            key: item[key]
            for key in ("image", "label", "mask", "category", "path")
            if key in item
        }
    elif isinstance(item, tuple) or (isinstance(item, list) and len(item) <= 3):
        # Loaders collate `(image, label)` into a list.
        element = {"image": item[0]}
    else:
        element = {"image": item}
    if convert or isinstance(element["image"], np.ndarray):
        element["image"] = to_array(element["image"])
    return element


def _rows(value):
    """Rows of a batch column: an array, a ragged tensor or a list of arrays."""
    if hasattr(value, "row_splits") or (
        hasattr(value, "is_nested") and value.is_nested
    ):
        return [_dense(row) for row in value]
    if isinstance(value, list | tuple):
        return [to_array(row) for row in value]
    return to_array(value)


def _dense(row):
    return to_array(row.to_tensor() if hasattr(row, "to_tensor") else row)


def _split(item):
    """The elements of a batch."""
    columns = {
        key: _rows(value) for key, value in _element(item).items() if value is not None
    }
    images = columns["image"]
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise ValueError(
            "A batch of images must be (batch, height, width, channels). Received "
            f"shape {images.shape}."
        )
    return [
        {key: column[i] for key, column in columns.items()} for i in range(len(images))
    ]
