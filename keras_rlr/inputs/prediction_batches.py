from typing import Any

import numpy as np

from keras_rlr.image_size import height_and_width
from keras_rlr.inputs.host_batches import HostBatches, no_images, stack_images
from keras_rlr.inputs.image_measures import measure_image
from keras_rlr.inputs.images import to_array
from keras_rlr.inputs.normal_images import refuse_anomalous
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.truth import Truth
from keras_rlr.inputs.value_ranges import ValueRanges
from keras_rlr.torch_processes import join_rows


class PredictionBatches(HostBatches):
    """Batches of images for `predict`, in the data's order.

    Every batch is padded to the size of the first one and to a multiple of the
    devices, so that backends that compile for a shape compile once. After a pass,
    `is_real` says which rows were images, `counts` how many of each batch, `sizes`
    what their sizes were, `categories` what products they show (None where unknown),
    `measures` what `measure_image` said of each if it was asked, and `truth` what
    labels and masks came with them if those are kept.

    Args:
        source: An `ImageSource`.
        image_size: Side of the images, or (height, width).
        devices: Of each process; the size of every batch is a multiple of all.
        shard: (index, count) of this process among those that infer together; it is
            given its part of each batch.
        max_images: Stop after so many images, or None.
        order_seed: Seed of a shuffled order for indexed data, or None.
        with_weight: Whether batches are dicts with "weight" (1, or 0 for padding),
            for which the model returns the loss too; keeps labels and masks.
        purpose: What the images are for, for the message when there are none.
        first_index: Position of the first image in the whole data set.
        padded_to: Size of the batches; 0 for that of the first one.
        normal_only: Whether anomalous images are refused.
        with_description: Whether batches are dicts with "describe", for which the model
            returns "image_features" too.
        with_measures: Whether images are measured.
        measured_region: Where, as of `measure_image`; None for everywhere.
        look: Function of the categories of some images and their positions that returns
            a dict of arrays, a row an image, which batches that are dicts have too; or
            None.
        **kwargs: See `HostBatches`.
    """

    def __init__(
        self,
        source,
        image_size,
        devices=1,
        shard=(0, 1),
        max_images=None,
        order_seed=None,
        with_weight=False,
        purpose="predict",
        first_index=0,
        padded_to=0,
        normal_only=False,
        with_description=False,
        with_measures=False,
        measured_region=None,
        look=None,
        **kwargs,
    ):
        super().__init__(source, image_size, **kwargs)
        self.devices = devices
        self.shard = shard
        self.max_images = max_images
        self.order_seed = order_seed
        self.with_weight = with_weight
        self.purpose = purpose
        self.first_index = first_index
        self.padded_to = padded_to
        self.normal_only = normal_only
        self.with_description = with_description
        self.with_measures = with_measures
        self.measured_region = measured_region
        self.look = look
        self.is_real = np.zeros(0, bool)
        self.counts: list[int] = []
        self.sizes: list[tuple[int, ...]] = []
        self.categories: list[str | None] = []
        self.measures: list[dict[str, float]] = []
        self.truth = Truth(image_size)

    @property
    def num_batches(self):
        """Number of batches, unknown when it is cut short."""
        return None if self.max_images else super().num_batches

    def images(self, stack=stack_images):
        """Yields (elements, images): what one pass holds, not padded.

        Args:
            stack: What makes the images of elements, as `stack_images` does.
        """
        seen = 0
        value_ranges = self.begin_pass()
        for elements in self.source.batches(self.order_seed):
            if self.max_images:
                elements = elements[: self.max_images - seen]
            if not elements:
                break
            first = self.first_index + seen
            if self.normal_only:
                refuse_anomalous(elements, first)
            positions = range(first, first + len(elements))
            images = stack(elements, self.image_size, positions, value_ranges)
            yield elements, images
            seen += len(elements)
        if not seen:
            raise no_images(self.purpose)
        self.end_pass(value_ranges)

    def generate(self, stack=stack_images):
        """Yields the batches of one pass.

        Args:
            stack: See `images`. Of a list of images there is no padding.
        """
        # Kept apart until the pass is complete, because a backend may begin another
        # ahead of time; and published before the last batch is handed out, because a
        # backend that knows how many there are never asks for the end.
        is_real: list[bool] = []
        counts: list[int] = []
        sizes: list[tuple[int, ...]] = []
        categories: list[str | None] = []
        measures: list[dict[str, float]] = []
        truth = Truth(self.image_size)
        first_size = self.padded_to
        pending = None
        for elements, images in self.images(stack):
            if pending is not None:
                yield (pending,)
            count = len(images)
            devices = self.devices * self.shard[1]
            padded = count
            if isinstance(images, np.ndarray):
                padded = max(first_size, -(-count // devices) * devices)
            first_size = first_size or padded
            is_real.extend([True] * count + [False] * (padded - count))
            counts.append(count)
            sizes.extend(np.shape(element["image"])[:2] for element in elements)
            names = list(map(category_name, elements))
            first = self.first_index + len(categories)
            categories.extend(names)
            if self.with_measures:
                measures.extend(self._measure(image) for image in images)
            if self.with_weight:
                for position, element in enumerate(elements, first):
                    truth.add(element, position)
            if padded != count:
                images = np.pad(
                    images, ((0, padded - count), (0, 0), (0, 0), (0, 0)), mode="edge"
                )
            pending = self._batch(images, names, first)
        self.is_real = np.array(is_real)
        self.counts = counts
        self.sizes = sizes
        self.categories = categories
        self.measures = measures
        self.truth = truth
        yield (pending,)

    def _batch(self, images, names, first):
        count = len(names)
        index, shards = self.shard
        rows = len(images) // shards
        mine = slice(index * rows, (index + 1) * rows)
        if not (self.with_weight or self.with_description):
            return images[mine]
        batch = {"image": images}
        if self.with_weight:
            batch["weight"] = (np.arange(len(images)) < count).astype("float32")
        if self.with_description:
            batch["describe"] = np.zeros(len(images), "float32")
        if self.look:
            for name, rows in self.look(names, range(first, first + count)).items():
                padding = ((0, len(images) - count), *[(0, 0)] * (rows.ndim - 1))
                batch[name] = np.pad(rows, padding, mode="edge")
        return {name: rows[mine] for name, rows in batch.items()}

    def _measure(self, image):
        if not isinstance(image, ResizedImage):
            image = ResizedImage(image, image.shape, ValueRanges())
        return measure_image(image, self.measured_region)

    def strip(self, values):
        """Returns the rows of all processes but those of padding, after a pass."""
        return join_rows(values, len(self.counts))[self.is_real]

    def signature(self):
        """Shape and dtype of a batch."""
        image = ((None, *height_and_width(self.image_size), 3), "float32")
        if not (self.with_weight or self.with_description):
            return image
        signature: dict[str, Any] = {"image": image}
        if self.with_weight:
            signature["weight"] = ((None,), "float32")
        if self.with_description:
            signature["describe"] = ((None,), "float32")
        if self.look:
            for name, rows in self.look([], []).items():
                signature[name] = ((None, *rows.shape[1:]), rows.dtype.name)
        return signature


def category_name(element):
    """The category of an element as a string, or None.

    An empty name says that it is not known, as in exports: a tensor of strings has no
    None.
    """
    category = element.get("category")
    if category is None:
        return None
    if not isinstance(category, str | bytes):
        category = to_array(category).item()
    if isinstance(category, bytes):
        # Of folders, whose names need not be UTF-8.
        category = category.decode("utf-8", "surrogateescape")
    name = str(category)
    return name or None
