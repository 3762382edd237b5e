import itertools

import numpy as np

from keras_rlr.inputs.host_batches import HostBatches, no_images, stack_images


class PredictionBatches(HostBatches):
    """Batches of images for `predict`, in the data's order.

    Every batch is padded to the size of the first one and to a multiple of the
    devices, so that backends that compile for a shape compile once; `is_real` says
    afterwards which rows were images.

    Args:
        source: An `ImageSource`.
        image_size: Side of the images.
        devices: The size of every batch is a multiple of this.
        max_images: Stop after so many images, or None.
        order_seed: Seed of a shuffled order for indexed data, or None.
        purpose: What the images are for, for the message when there are none.
    """

    def __init__(
        self,
        source,
        image_size,
        devices=1,
        max_images=None,
        order_seed=None,
        purpose="predict",
    ):
        super().__init__(source, image_size)
        self.devices = devices
        self.max_images = max_images
        self.order_seed = order_seed
        self.purpose = purpose
        self.is_real = []
        self.sizes = []

    @property
    def num_batches(self):
        """Number of batches, unknown when it is cut short."""
        return None if self.max_images else super().num_batches

    def generate(self):
        """Yields the batches of one pass."""
        self.is_real = []
        self.sizes = []
        seen = 0
        first_size = None
        for elements in self.source.batches(self.order_seed):
            if self.max_images:
                elements = elements[: self.max_images - seen]
            if not elements:
                break
            images = stack_images(elements, self.image_size, seen)
            count = len(images)
            seen += count
            self.sizes.extend(np.shape(element["image"])[:2] for element in elements)
            first_size = first_size or -(-count // self.devices) * self.devices
            padded = max(first_size, -(-count // self.devices) * self.devices)
            self.is_real.extend([True] * count + [False] * (padded - count))
            if padded != count:
                images = np.pad(
                    images, ((0, padded - count), (0, 0), (0, 0), (0, 0)), mode="edge"
                )
            yield (images,)
        if not seen:
            raise no_images(self.purpose)

    def strip(self, values):
        """Drops the rows of `values` that were padding."""
        return values[np.fromiter(itertools.islice(self.is_real, len(values)), bool)]

    def signature(self):
        """Shape and dtype of a batch."""
        return ((None, self.image_size, self.image_size, 3), "float32")
