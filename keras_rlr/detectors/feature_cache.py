import contextlib
import hashlib
import itertools
import json
import zlib
from pathlib import Path

import numpy as np
from keras import ops

from keras_rlr import processes
from keras_rlr.detectors.feature_extractor import extract_by_image
from keras_rlr.inputs.augmentation import variant_key, variants_of, vary
from keras_rlr.inputs.cached_batches import CachedBatches
from keras_rlr.inputs.cached_source import CachedSource
from keras_rlr.inputs.feature_store import DTYPES, FeatureStore
from keras_rlr.inputs.host_batches import no_images, stack_images
from keras_rlr.inputs.image_keys import batches_of_keys, image_key, names_images
from keras_rlr.inputs.normal_images import refuse_anomalous
from keras_rlr.inputs.prediction_batches import category_name
from keras_rlr.inputs.value_ranges import ValueRanges
from keras_rlr.keras_private import flat_layers

_VERSION = 3
_READ_AT_A_TIME = 16
_PLACES_OF_NAMES = ("name", "keras_history", "input_layers", "output_layers")


class FeatureCache:
    """Features of images, so that the frozen backbone runs once an image.

    For `RLR.fit(ds, feature_cache=...)`, which makes one from a path too. What is kept
    are the aggregated features, without standardisation and noise, by the SHA-256 of
    the image as the data delivers it (of `FolderDataset`: path, label, size, time of
    change and both ends of the file) and of all that features depend on: backbone,
    weights, image size, levels. Nothing stale is ever used, models and data sets can
    share a folder, and only images that are new to it are computed. Data has to be read
    once in every `fit` to know its images, but for `FolderDataset`. Of a model with
    `augmentation` it keeps the features of every image turned and mirrored in all ways.

    Args:
        path: A folder, made if need be, or `"memory"`.
        dtype: `"float16"`, `"bfloat16"` (if features exceed 65504) or `"float32"`.

    Raises:
        ValueError: If the dtype is another.
        NotADirectoryError: If the path is a file.

    Example:

    >>> model = keras_rlr.RLR(backbone="efficientnet_lite2", levels=(3,), seed=0)
    >>> images = np.random.randint(0, 256, (8, 256, 256, 3), "uint8")
    >>> cache = keras_rlr.FeatureCache("memory", dtype="float32")
    >>> history = model.fit(images, epochs=2, feature_cache=cache, verbose=0)
    """

    def __init__(self, path, dtype="float16"):
        if dtype not in DTYPES:
            raise ValueError(
                f"`dtype` must be one of {', '.join(DTYPES)}. Received: {dtype!r}."
            )
        self.path = None if path == "memory" else Path(path)
        if self.path is not None and self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(
                f"The feature cache needs a folder. Received a file: '{self.path}'."
            )
        self.dtype = dtype
        self._stores = {}

    @classmethod
    def of(cls, cache):
        """Returns `cache`, or the cache of a path or of `"memory"`."""
        return cache if isinstance(cache, FeatureCache) else cls(cache)

    def batches(self, model, source, steps_per_epoch=None, **order):
        """Returns training batches of features, after computing those that miss.

        Args:
            model: An `RLR` model.
            source: An `ImageSource`.
            steps_per_epoch: What `fit` was given.
            **order: Arguments of `TrainingBatches`.

        Raises:
            ValueError: If the data is endless, empty, anomalous, or not the same in
                two passes.
        """
        _refuse_endless(source, steps_per_epoch)
        store = self._store(model)
        categories: set[str] = set()
        keys = batches_of_keys(source, categories)
        if not keys:
            raise no_images("train on")
        shuffles_itself = _shuffles_itself(source, keys)
        filling = _Filling(store, model, order.get("augmentation", ()))
        with contextlib.ExitStack() as until_filled:
            # Of processes that train together the first keeps other trainings out.
            if processes.is_writer():
                until_filled.enter_context(store.locked())
            processes.wait()
            store.refresh()
            if processes.count() > 1 and store.folder is not None:
                # All have filled their shards where this returns.
                processes.agreed(lambda: filling.fill(source, keys, processes.shard()))
                store.refresh()
            # What the others computed for a folder that is not this process's, too.
            if filling.lacks_any(keys):
                filling.fill(source, keys)
                _refuse_unless(not filling.lacks_any(keys))
        batches = CachedBatches(
            CachedSource(source, keys, shuffles_itself),
            store,
            model.feature_extractor.feature_shapes,
            **order,
        )
        batches.categories = categories
        return batches

    def _store(self, model):
        name = _fingerprint(model)
        if name not in self._stores:
            shapes = model.feature_extractor.feature_shapes
            width = sum(int(np.prod(shape)) for shape in shapes)
            folder = self.path and self.path / f"{name[:16]}-{self.dtype}"
            self._stores[name] = FeatureStore(folder, width, self.dtype)
        return self._stores[name]


def _fingerprint(model):
    digest = hashlib.sha256()
    settings = {
        "version": _VERSION,
        "backbone": model.get_config()["backbone"],
        "levels": model.levels,
        "image_size": model.image_size,
        "dtype": model.dtype_policy.name,
    }
    if model.bit_depth not in (None, 16):
        # Only then, so that caches of before are still good.
        settings["bit_depth"] = model.bit_depth
    # Keras numbers the layers of a process; built a second time, a model has others.
    layers = flat_layers(model.feature_extractor.backbone)
    numbers = {layer.name: number for number, layer in enumerate(layers)}
    settings["backbone"] = _numbered(settings["backbone"], numbers)
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for weight in model.feature_extractor.weights:
        digest.update(np.ascontiguousarray(ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()


def _numbered(config, numbers, place=None):
    """A backbone's configuration with numbers where names of layers stand."""
    if isinstance(config, dict):
        return {key: _numbered(part, numbers, key) for key, part in config.items()}
    if isinstance(config, list | tuple):
        return [_numbered(part, numbers, place) for part in config]
    named = place in _PLACES_OF_NAMES and isinstance(config, str)
    return numbers.get(config, config) if named else config


def _refuse_endless(source, steps_per_epoch):
    if source.is_endless or steps_per_epoch is not None:
        raise ValueError(
            "A feature cache holds every image of a data set that ends, and an epoch "
            "is a pass over it. Leave `repeat()` and `steps_per_epoch` out, or train "
            "without `feature_cache`."
        )


def _shuffles_itself(source, keys):
    """Whether another pass begins otherwise; random images are refused."""
    if names_images(source):
        return False
    names = [image_key(element["image"]) for element in next(source.batches(), [])]
    _refuse_unless(names and set(names) <= set(itertools.chain.from_iterable(keys)))
    return names != keys[0]


def _refuse_unless(same):
    if not same:
        raise ValueError(
            "Two passes over the data gave different images, so their features can't "
            "be kept: the data is augmented at random, or used up after one pass. "
            "Augment nothing, or train without `feature_cache`."
        )


class _Filling:
    """Computes features that a store lacks, of all variants that augmentation makes."""

    def __init__(self, store, model, augmentation):
        self.store = store
        self.model = model
        self.variants = variants_of(augmentation)

    def lacks(self, key):
        """Whether the features of an image, or of a variant of it, miss."""
        keys = (variant_key(key, variant) for variant in self.variants)
        return any(key not in self.store for key in keys)

    def lacks_any(self, keys):
        """Whether the features of any image of any batch miss."""
        return any(self.lacks(key) for batch in keys for key in batch)

    def fill(self, source, keys, shard=(0, 1)):
        """Computes the features that miss, of one of several shards of the images."""
        extract = extract_by_image(self.model)
        size, value_ranges = self.model.image_size, ValueRanges(self.model.bit_depth)
        missing = self._missing(source, keys, shard)
        while batch := list(itertools.islice(missing, _READ_AT_A_TIME)):
            names, elements, positions = zip(*batch, strict=True)
            images = stack_images(elements, size, positions, value_ranges)
            for variant in self.variants:
                self._add(names, elements, images, variant, extract)
        value_ranges.finish()
        self.store.flush()

    def _add(self, names, elements, images, variant, extract):
        names = [variant_key(name, variant) for name in names]
        chosen = [i for i, name in enumerate(names) if name not in self.store]
        if not chosen:
            return
        levels = extract(np.ascontiguousarray(vary(images[chosen], variant)))
        rows = [level.reshape(len(level), -1) for level in levels]
        notes = [_note(elements[i]) for i in chosen]
        names = [names[i] for i in chosen]
        self.store.add(names, np.concatenate(rows, axis=1), notes)

    def _missing(self, source, keys, shard):
        """Yields (key, element, position) of the first of each image that misses."""

        def is_ours(key):
            # By the key alone: what misses changes while others write.
            number, count = shard
            return zlib.crc32(key.encode()) % count == number and self.lacks(key)

        every = list(itertools.chain.from_iterable(keys))
        if names_images(source):
            first = {key: i for i, key in reversed(list(enumerate(every)))}
            positions = sorted(i for key, i in first.items() if is_ours(key))
            small = source.in_size_of(self.model.image_size, self.model.bit_depth)
            elements = itertools.chain.from_iterable(small.pick(positions))
            for position, element in zip(positions, elements, strict=True):
                refuse_anomalous([element], position)
                yield every[position], element, position
            return
        known, met = set(every), set()
        every_element = itertools.chain.from_iterable(source.batches())
        for position, element in enumerate(every_element):
            key = image_key(element["image"])
            _refuse_unless(key in known)
            if key not in met and is_ours(key):
                met.add(key)
                yield key, element, position


def _note(element):
    note = {}
    if element.get("category") is not None:
        note["category"] = category_name(element)
    if element.get("label") is not None:
        note["label"] = 0
    return note
