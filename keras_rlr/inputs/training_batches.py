from typing import Any

import numpy as np

from keras_rlr.image_size import height_and_width
from keras_rlr.inputs.augmentation import variants_of, vary
from keras_rlr.inputs.host_batches import HostBatches, no_images, stack_images
from keras_rlr.inputs.normal_images import refuse_anomalous
from keras_rlr.inputs.prediction_batches import category_name

# Added to seeds, which are smaller: what is drawn has nothing to do with the noise.
_OF_VARIANTS = 2**32


class TrainingBatches(HostBatches):
    """Batches of normal images for `fit`: {"image", "noise_key", "weight"}.

    Of tiles whose model knows their place, "tile" is the number of each.

    The key of an image's noise is a hash of (seed, step, position in the global
    batch), made here and split with the images, so any number of devices sees the
    same noise. A batch is padded to a multiple of the devices with images of weight
    0; the other weights make the mean over the padded batch the mean over the real
    images. `categories` has the names of the products that were seen.

    Args:
        source: An `ImageSource`.
        image_size: Side of the images, or (height, width).
        seed: Seed of order and noise.
        first_epoch: The epoch that comes first.
        first_step: Steps the model was trained before.
        first_batch: Batches of the first epoch that are passed over, where a training
            goes on inside of it.
        shuffle: Whether indexed data is shuffled, by (seed, epoch).
        devices: Of each process; the size of every batch is a multiple of all.
        shard: (index, count) of this process among those that train together; it is
            given its part of each batch.
        augmentation: What `resolve_augmentation` returned: each image of each step is
            one of the variants it makes, drawn by seed, step and position.
        with_tiles: Whether images are tiles, and batches say which.
        **kwargs: See `HostBatches`.
    """

    def __init__(
        self,
        source,
        image_size,
        seed,
        first_epoch=0,
        first_step=0,
        first_batch=0,
        shuffle=True,
        devices=1,
        shard=(0, 1),
        augmentation=(),
        with_tiles=False,
        **kwargs,
    ):
        super().__init__(source, image_size, **kwargs)
        self.seed = seed
        self.shuffle = shuffle
        self.devices = devices
        self.shard = shard
        self.variants = variants_of(augmentation)
        self.with_tiles = with_tiles
        self.epoch = first_epoch
        self._first_step = {first_epoch: first_step}
        self._first_batch = {first_epoch: first_batch}
        self.categories = set()

    def begin_epoch(self, epoch, step=None):
        """Sets the epoch whose order the next pass has, and its first step if given.

        Args:
            epoch: Counted from 0.
            step: Of the first batch that the pass yields.
        """
        self.epoch = epoch
        if step is not None:
            self._first_step[epoch] = step

    def generate(self, variant=None, whole=False):
        """Yields the batches of the current epoch.

        Args:
            variant: Of augmentation the one that all images are, in place of one that
                is drawn for each.
            whole: Whether batches are those of all processes, not this one's part,
                and of the epoch none is passed over.
        """
        epoch = self.epoch
        # With `steps_per_epoch` a pass may span epochs, and the next begin in any.
        step = self._first_step.get(epoch, max(self._first_step.values()))
        first = 0 if whole else self._first_batch.get(epoch, 0)
        seen = first * self.batch_size
        order_seed = (self.seed, epoch) if self.shuffle else None
        value_ranges, last = self.begin_pass(), self.num_batches
        in_order = self.source.batches(order_seed, first)
        for number, elements in enumerate(in_order, first + 1):
            variants = self._drawn_variants(len(elements), step)
            if variant is not None:
                variants = [variant] * len(elements)
            inputs = self._inputs(elements, seen, value_ranges, variants)
            if self.with_tiles:
                inputs["tile"] = np.array(list(map(self._tile, elements)), "int32")
            # What is said of the values is said of all images.
            if number == last and not first:
                self.end_pass(value_ranges)
            count = len(elements)
            seen += count
            # Before the batch is handed out: a backend that knows how many there are
            # never asks for the end of the pass.
            self._first_step[epoch + 1] = step + 1
            yield (self._batch(inputs, count, step, whole),)
            step += 1
        if not seen:
            raise no_images("train on")
        if not first:
            self.end_pass(value_ranges)

    def _drawn_variants(self, count, step):
        if len(self.variants) == 1:
            return self.variants * count
        keys = noise_keys(self.seed + _OF_VARIANTS, step, np.arange(count))
        draws = keys.view("uint32")[:, 0]
        return [self.variants[draw % len(self.variants)] for draw in draws]

    def _inputs(self, elements, seen, value_ranges, variants):
        refuse_anomalous(elements, seen)
        positions = range(seen, seen + len(elements))
        images = stack_images(elements, self.image_size, positions, value_ranges)
        self.categories.update(filter(None, map(category_name, elements)))
        if len(self.variants) > 1:
            images = np.stack(list(map(vary, images, variants)))
        return {"image": images}

    def _tile(self, element):
        return element["image"].tile

    def _batch(self, inputs, count, step, whole):
        index, shards = self.shard
        padded = -(-count // (self.devices * shards)) * self.devices * shards
        if whole:
            index, shards = 0, 1
        weight = np.zeros(padded, "float32")
        weight[:count] = padded / count
        positions = np.arange(padded)
        source = np.minimum(positions, count - 1)
        mine = slice(index * (padded // shards), (index + 1) * (padded // shards))
        if padded != count or shards > 1:
            inputs = {name: rows[source[mine]] for name, rows in inputs.items()}
        return {
            **inputs,
            "noise_key": noise_keys(self.seed, step, positions[mine]),
            "weight": weight[mine],
        }

    def signature(self):
        """Shapes and dtypes of a batch."""
        tile = {"tile": ((None,), "int32")} if self.with_tiles else {}
        return {
            **self._input_signature(),
            **tile,
            "noise_key": ((None, 2), "int32"),
            "weight": ((None,), "float32"),
        }

    def _input_signature(self):
        return {"image": ((None, *height_and_width(self.image_size), 3), "float32")}


def noise_keys(seed, step, positions):
    """int32 keys (len(positions), 2): a hash of seed, step and position."""
    # SplitMix64 (Steele et al., 2014): a bijection that mixes all 64 bits.
    with np.errstate(over="ignore"):
        state: Any = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        for part in (np.uint64(step), np.asarray(positions, "uint64")):
            state = (state ^ part) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    halves = np.stack([state >> np.uint64(32), state & np.uint64(0xFFFFFFFF)], -1)
    return halves.astype("uint32").view("int32")
