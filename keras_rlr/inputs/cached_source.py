import itertools

import keras
import numpy as np

from keras_rlr.inputs.image_source import shuffled_order


class CachedSource:
    """The order in which data delivers its images, with keys in their place.

    What an `ImageSource` is for images: the same batches in the same order for the same
    order seed. Data that shuffles itself is shuffled by the order seed instead.

    Args:
        source: The `ImageSource`.
        batches: Keys of the images of one pass, by batches.
        shuffles_itself: Whether another pass had another order.
    """

    def __init__(self, source, batches, shuffles_itself=False):
        self.batch_size = source.batch_size
        self._batches = batches
        self._by_element = source.is_indexed or shuffles_itself
        if shuffles_itself:
            self.batch_size = len(batches[0])
        self._by_batch = not self._by_element and isinstance(
            source.data, keras.utils.PyDataset
        )

    def num_batches(self):
        """Number of batches of one pass."""
        if self._by_element:
            return -(-sum(map(len, self._batches)) // self.batch_size)
        return len(self._batches)

    def batches(self, order_seed=None, first=0):
        """Yields lists of keys, from a batch on."""
        yield from itertools.islice(self._batches_in_order(order_seed), first, None)

    def _batches_in_order(self, order_seed):
        if self._by_element:
            keys = list(itertools.chain.from_iterable(self._batches))
            order = shuffled_order(len(keys), order_seed)
            for chosen in np.split(
                order, range(self.batch_size, len(keys), self.batch_size)
            ):
                yield [keys[i] for i in chosen]
        elif self._by_batch:
            for index in shuffled_order(len(self._batches), order_seed):
                yield self._batches[index]
        else:
            yield from self._batches
