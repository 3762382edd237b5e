"""The tiles of images in place of the images, for training."""

import functools
import itertools
import threading
from typing import Any

from keras_rlr.inputs.first_batches import FirstBatches
from keras_rlr.inputs.host_batches import resized_image
from keras_rlr.inputs.image_keys import key_of_tile
from keras_rlr.inputs.image_source import BatchList, ImageSource
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.value_ranges import ValueRanges

# Neighbouring tiles are mostly asked for one after the other.
_IMAGES_KEPT = 2


def in_tiles(source, tiling, bit_depth=None):
    """Returns a source of the tiles of another's images.

    Of data with a length and an index each tile is an element like any other: tiles of
    all images are shuffled together. Of other data a batch becomes one of the first
    tile of each of its images, one of the second tile of each, and so on.

    Args:
        source: An `ImageSource`, `FirstBatches` or `BatchList`.
        tiling: The `Tiling`.
        bit_depth: Bits that a value of uint16 images has; None is 16.
    """
    if isinstance(source, BatchList):
        batches = [
            [tile for one in batch for tile in _tiles_of(one, 0, tiling, bit_depth)]
            for batch in source.batches()
        ]
        return BatchList(batches, tiling.count * source.batch_size)
    if isinstance(source, FirstBatches):
        tiled = in_tiles(source.source, tiling, bit_depth)
        return FirstBatches(tiled, source.steps * tiling.count)
    if source.is_indexed:
        return ImageSource(_Tiles(source, tiling, bit_depth), source.batch_size)
    return _TiledStream(source, tiling, bit_depth)


class _TiledStream:
    """Batches of tiles of data without an index, in place of an `ImageSource`."""

    is_indexed = False
    has_labels_beside = False

    def __init__(self, source, tiling, bit_depth):
        self.source = source
        self.data = source.data
        self.batch_size = source.batch_size
        self._tiling, self._bit_depth = tiling, bit_depth

    @property
    def is_endless(self):
        return self.source.is_endless

    def in_batches_of(self, batch_size):
        source = self.source.in_batches_of(batch_size)
        return _TiledStream(source, self._tiling, self._bit_depth)

    def num_batches(self):
        count = self.source.num_batches()
        return None if count is None else count * self._tiling.count

    def batches(self, order_seed=None, first=0):
        yield from itertools.islice(self._batches_in_order(order_seed), first, None)

    def _batches_in_order(self, order_seed):
        seen = 0
        for batch in self.source.batches(order_seed):
            columns = [
                _tiles_of(one, seen + i, self._tiling, self._bit_depth)
                for i, one in enumerate(batch)
            ]
            seen += len(batch)
            yield from map(list, zip(*columns, strict=True))


class _Tiles:
    """The tiles of an indexed source as a sequence of elements."""

    def __init__(self, source, tiling, bit_depth):
        self._source, self._tiling, self._bit_depth = source, tiling, bit_depth
        data = source.data
        self.reads_files = getattr(data, "reads_files", False)
        if hasattr(data, "categories"):
            self.categories = data.categories
        if hasattr(data, "image_keys") and not source.has_labels_beside:
            self.image_keys = self._image_keys
        # Threads ask for tiles of the same image: it is read once.
        self._locks = [threading.Lock() for _ in range(_IMAGES_KEPT)]
        self._kept: list[Any] = [None] * _IMAGES_KEPT

    def __len__(self):
        return len(self._source.data) * self._tiling.count

    def __getitem__(self, index):
        position, number = divmod(int(index), self._tiling.count)
        place = position % _IMAGES_KEPT
        with self._locks[place]:
            if self._kept[place] is None or self._kept[place][0] != position:
                one = self._source.read(position)
                whole = resized_image(
                    one, position, self._tiling.whole_size, self._bit_depth
                )
                self._kept[place] = (position, {**one, "image": whole})
            one = self._kept[place][1]
        return _tile(one, number, self._tiling, self._bit_depth)

    def _image_keys(self):
        return [
            _key(key, number, self._tiling)
            for key in self._source.data.image_keys()
            for number in range(self._tiling.count)
        ]


def _key(key, number, tiling):
    """What a tile of an image with that key is known by in a feature cache."""
    top, left = tiling.corners[number]
    height, width = tiling.whole_size
    return key_of_tile(f"{key}-{top}+{left}of{height}x{width}", number)


def _tiles_of(one, position, tiling, bit_depth):
    """The tiles of an element, as elements."""
    whole = resized_image(one, position, tiling.whole_size, bit_depth)
    make = functools.partial(_tile, {**one, "image": whole})
    return [make(number, tiling, bit_depth) for number in range(tiling.count)]


def _tile(one, number, tiling, bit_depth):
    whole = one["image"]
    pixels = whole.part(*tiling.corners[number], tiling.height, tiling.width)
    # What was seen of the values counts once an image.
    seen = whole.value_ranges if number == 0 else ValueRanges(bit_depth)
    tile = ResizedImage(pixels, pixels.shape, seen, number)
    return {key: value for key, value in one.items() if key != "mask"} | {"image": tile}
