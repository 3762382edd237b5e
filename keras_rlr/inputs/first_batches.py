import itertools
import warnings

from keras_rlr.checked_numbers import whole_number
from keras_rlr.inputs.endless import refuse_endless
from keras_rlr.inputs.image_source import ImageSource


class FirstBatches:
    """The first batches of an `ImageSource`, in its place.

    Args:
        source: The `ImageSource`.
        steps: Number of batches.

    Raises:
        ValueError: If there is to be none.
    """

    is_endless = False
    # What is drawn at random would not be the first.
    is_indexed = False

    def __init__(self, source, steps):
        steps = whole_number(
            "steps", steps, 1, of="batches", otherwise=", or None for all"
        )
        self.source = source
        self.steps = steps
        self.batch_size = source.batch_size

    def in_batches_of(self, batch_size):
        """Returns itself: what `steps` counts are batches of the size it was given."""
        return self

    def in_size_of(self, image_size, bit_depth=None):
        """As of `ImageSource`."""
        return FirstBatches(self.source.in_size_of(image_size, bit_depth), self.steps)

    def num_batches(self):
        """Number of batches, or None if only a pass can tell."""
        if self.source.is_endless:
            return self.steps
        count = self.source.num_batches()
        return None if count is None else min(count, self.steps)

    def batches(self, order_seed=None):
        """Yields the batches; warns where there are fewer."""
        count = 0
        for batch in itertools.islice(self.source.batches(order_seed), self.steps):
            count += 1
            # Before it is handed out: who knows the number never asks for the end.
            if count == self.num_batches() and count < self.steps:
                self._warn(count)
            yield batch
        if count and self.num_batches() is None and count < self.steps:
            self._warn(count)

    def _warn(self, count):
        warnings.warn(
            f"`steps={self.steps}` batches were asked for, and the data has {count}.",
            stacklevel=2,
        )


def finite_source(
    purpose, data, batch_size, steps=None, labels=None, sample_weight=None
):
    """Returns the `ImageSource` of data that ends, or its first batches.

    Args:
        purpose: What it is for: "predict".
        data: See `ImageSource`.
        batch_size: See `ImageSource`.
        steps: Number of batches, or None for all.
        labels: See `ImageSource`.
        sample_weight: See `ImageSource`.

    Raises:
        ValueError: If the data can't be read, or is endless and `steps` is None.
    """
    source = ImageSource.of(data, batch_size, labels, sample_weight)
    if steps is not None:
        return FirstBatches(source, steps)
    refuse_endless(source, purpose, "steps")
    return source
