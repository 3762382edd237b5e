import copy
import functools
import itertools
from typing import Any

import keras
import numpy as np

from keras_rlr.checked_numbers import whole_number
from keras_rlr.inputs.elements import (
    column_rows,
    element,
    holds_elements,
    is_batch,
    is_image,
    is_ragged,
    known_columns,
    refuse_unclear_list,
    rows,
    split,
)
from keras_rlr.inputs.endless import is_endless, length_of
from keras_rlr.inputs.host_batches import resized_image
from keras_rlr.inputs.read_ahead import read_ahead

SUPPORTED = (
    "arrays (images, height, width, channels), lists of images of any sizes, "
    "sequences of images or of dicts with 'image', tf.data.Dataset, "
    "keras.utils.PyDataset and torch.utils.data.DataLoader"
)


class ImageSource:
    """One interface to every kind of data set: a stream of elements or batches.

    How elements and batches are told apart says `keras_rlr.inputs.elements`.

    Args:
        data: What the user passed; one of `SUPPORTED`, or `(images, labels)`.
        batch_size: Images a batch, for data that is not batched already.
        labels: A label for each image of data with a length and an index, or None.
        sample_weight: The same of weights, which must be 1.

    Raises:
        ValueError: If the kind of data is not supported, there are more or fewer
            labels than images, or the batch size is no whole number above 0.
    """

    def __init__(self, data, batch_size, labels=None, sample_weight=None):
        self.batch_size = whole_number(
            "batch_size", batch_size, 1, of="images", otherwise=", or None"
        )
        self._resize = None
        data, beside = _parts(data, labels, sample_weight)
        self.data = _as_indexed(data)
        self.is_indexed = self.data is not None
        if not self.is_indexed:
            self.data = data
            if not (_is_dataset(data) or isinstance(data, keras.utils.PyDataset)):
                raise ValueError(_unreadable(data))
            if beside:
                raise ValueError(
                    f"Data of type {type(data).__name__} brings its labels itself, "
                    "as tuples (image, label) or dicts. Leave `y` out."
                )
        self._beside = {
            key: column_rows(key, value, len(self.data))
            for key, value in beside.items()
        }

    @classmethod
    def of(cls, data, *args):
        """Returns the source of data; of a source itself."""
        return data if isinstance(data, cls) else cls(data, *args)

    def in_batches_of(self, batch_size):
        """Returns the same source with other batches, where it makes them itself."""
        other = copy.copy(self)
        other.batch_size = batch_size
        return other

    def part(self, start, stop):
        """Returns the source of the images from `start` to before `stop`.

        Only of indexed data.
        """
        part = copy.copy(self)
        part.data = _Part(self.data, start, stop)
        part._beside = {key: rows[start:stop] for key, rows in self._beside.items()}
        return part

    def in_size_of(self, image_size, bit_depth=None):
        """Returns the same source, which resizes images of files as it reads them.

        Of large images only those that are being read are in memory then, and not all
        of a batch. The images of its elements are `ResizedImage`s.

        Args:
            image_size: Side of a square, or (height, width).
            bit_depth: Bits that a value of uint16 images has; None is 16.
        """
        other = copy.copy(self)
        if getattr(self.data, "reads_files", False):
            other._resize = functools.partial(
                resized_image, image_size=image_size, bit_depth=bit_depth
            )
        return other

    @property
    def is_in_memory(self):
        """Whether images are known to be arrays already, which are read for nothing."""
        data = self.data.whole if isinstance(self.data, _Part) else self.data
        return isinstance(data, _Table) or type(data) in (np.ndarray, list, tuple)

    @property
    def has_labels_beside(self):
        """Whether labels were given beside the images."""
        return bool(self._beside)

    @property
    def is_endless(self):
        """Whether the data says that it has no end."""
        return not self.is_indexed and is_endless(self.data)

    def num_batches(self):
        """Number of batches of one pass, or None if only a pass can tell."""
        if self.is_indexed:
            return -(-len(self.data) // self.batch_size)
        if isinstance(self.data, keras.utils.PyDataset):
            return length_of(self.data)
        if hasattr(self.data, "element_spec"):
            count = int(self.data.cardinality())
            if count < 0:
                return None
            batched = is_batch(self.data.element_spec)
            return count if batched else -(-count // self.batch_size)
        if self.data.batch_sampler is None:
            # The loader does not batch; its items may be images or batches.
            return None
        try:
            return len(self.data)
        except TypeError:
            return None

    def batches(self, order_seed=None, first=0):
        """Yields lists of elements, each a dict with an "image" array at least.

        Args:
            order_seed: None for the data's own order; a sequence of integers for a
                shuffled one that is a pure function of them. tf.data and PyTorch
                loaders keep their own order.
            first: Batches that are passed over. Data with an index does not read them.
        """
        if self.is_indexed:
            order = shuffled_order(len(self.data), order_seed)
            yield from self.pick(order[first * self.batch_size :])
        elif isinstance(self.data, keras.utils.PyDataset):
            count = length_of(self.data)
            endless = count is None
            order = itertools.count() if endless else shuffled_order(count, order_seed)
            order = itertools.islice(order, first, None)
            yield from map(split, _read_batches(self.data, map(int, order)))
            self.data.on_epoch_end()
        else:
            yield from itertools.islice(self._stream(), first, None)

    def read(self, position):
        """Returns the element at a position of indexed data.

        Args:
            position: From 0 on.
        """
        position = int(position)
        beside = {key: column[position] for key, column in self._beside.items()}
        one = element(self.data[position], beside)
        if self._resize is not None:
            one["image"] = self._resize(one, position)
        return one

    def pick(self, positions):
        """Yields batches of the elements at some positions of indexed data."""
        # Whether a user's own data bears several threads is not known.
        from_files = getattr(self.data, "reads_files", False)
        elements = (
            read_ahead(self.read, positions)
            if from_files
            else map(self.read, positions)
        )
        while batch := list(itertools.islice(elements, self.batch_size)):
            yield batch

    def _stream(self):
        # An item of a loader that batches is a batch, of one image perhaps.
        batched = getattr(self.data, "batch_sampler", None) is not None
        pending: list[dict[str, Any]] = []
        for item in self.data:
            if not batched:
                refuse_unclear_list(item)
            if is_batch(item, grey=batched):
                if pending:
                    yield pending
                    pending = []
                yield split(item)
                continue
            pending.append(element(item))
            if batched or len(pending) == self.batch_size:
                yield pending
                pending = []
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

    def batches(self, order_seed=None, first=0):
        """Yields the batches, in their order, from one on."""
        yield from self.elements[first:]


class _Table:
    """A dict of columns as a sequence of dicts."""

    def __init__(self, columns):
        count = len(columns["image"])
        self._columns = {
            key: column_rows(key, value, count) for key, value in columns.items()
        }

    def __len__(self):
        return len(self._columns["image"])

    def __getitem__(self, index):
        return {key: column[index] for key, column in self._columns.items()}


class _Part:
    """Neighbouring elements of a sequence, which still knows what it knew of them."""

    def __init__(self, data, start, stop):
        self.whole, self._start, self._stop = data, start, stop
        self.reads_files = getattr(data, "reads_files", False)
        if hasattr(data, "image_keys"):
            self.image_keys = lambda: list(data.image_keys())[start:stop]
        # A user's own data may have it too, and mean something else.
        if self.reads_files and hasattr(data, "image_shape"):
            self.image_shape = lambda index: data.image_shape(start + index)

    def __len__(self):
        return self._stop - self._start

    def __getitem__(self, index):
        return self.whole[self._start + index]


def _read_batches(dataset, order):
    """The batches of a PyDataset, by as many workers as it asks for."""
    if dataset.workers <= 1:
        return map(dataset.__getitem__, order)
    # Threads in place of processes give the same batches; what they read and compute
    # in NumPy runs side by side.
    ahead = max(dataset.max_queue_size, dataset.workers)
    return read_ahead(dataset.__getitem__, order, ahead, dataset.workers)


def in_chunks(source, batches_each):
    """Yields the batches of one pass as `BatchList`s of so many at most."""
    stream = source.batches()
    while chunk := list(itertools.islice(stream, batches_each)):
        yield BatchList(chunk, source.batch_size)


def _is_dataset(data):
    is_tf = hasattr(data, "element_spec") and hasattr(data, "cardinality")
    is_loader = hasattr(data, "dataset") and hasattr(data, "batch_sampler")
    return is_tf or is_loader


def _parts(data, labels, sample_weight):
    """The images, and a dict of what was given beside them."""
    beside = {"label": labels, "sample_weight": sample_weight}
    beside = {key: value for key, value in beside.items() if value is not None}
    if isinstance(data, tuple) and not holds_elements(data):
        if not 1 <= len(data) <= 3:
            raise ValueError(_no_pair(data))
        data, *others = data
        if any(is_image(other) and is_image(data) for other in others):
            raise ValueError(_no_pair((data, *others)))
        for key, value in zip(("label", "sample_weight"), others, strict=False):
            if value is not None and key in beside:
                what = "labels" if key == "label" else "sample weights"
                raise ValueError(f"Received {what} twice: in the tuple, and apart.")
            if value is not None:
                beside[key] = value
    return data, beside


def _no_pair(data):
    return (
        f"Received a tuple of {len(data)} parts, and a tuple is (images, labels). Make "
        "images a list, or one array with an axis in front: (images, height, width, "
        "channels)."
    )


def _unreadable(data):
    name = type(data).__name__
    if hasattr(data, "__next__"):
        return (
            f"Data of type {name} can be read once, and more than one pass is needed. "
            "Make it a list, or wrap it by tf.data.Dataset.from_generator or in a "
            "keras.utils.PyDataset."
        )
    return f"Data of type {name} can't be read. Expected {SUPPORTED}."


def _as_indexed(data):
    if isinstance(data, dict):
        columns = known_columns(data)
        if "image" not in columns:
            return [data]  # refused where it is read
        return _Table({**columns, "image": _array_or_list(columns["image"])})
    if _is_dataset(data) or isinstance(data, keras.utils.PyDataset):
        return None
    if hasattr(data, "shape") or is_ragged(data):
        return _array_or_list(data)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return None if isinstance(data, str | bytes) else data
    return None


def _array_or_list(data):
    """Images as an array (images, height, width, channels) or a list."""
    images = rows(data)
    if isinstance(images, list):
        return images
    if images.dtype == object and images.ndim == 1:
        return list(images)
    if images.ndim == 3 and images.shape[-1] in (1, 2, 3, 4):
        raise ValueError(
            f"Received one array of shape {images.shape}, which looks like a "
            "single image. Add a batch axis: images[None]."
        )
    if images.ndim not in (3, 4):
        raise ValueError(
            "An array of images must be (images, height, width, channels). "
            f"Received shape {images.shape}."
        )
    return images[..., None] if images.ndim == 3 else images


def shuffled_order(count, order_seed):
    """The positions below `count`, in their order or in that of a seed."""
    if order_seed is None:
        return np.arange(count)
    return np.random.Generator(np.random.Philox(order_seed)).permutation(count)
