import contextlib
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.datasets import FolderDataset
from keras_rlr.detectors.feature_cache import FeatureCache
from keras_rlr.detectors.feature_decoder import FeatureDecoder, error_in_decibels
from keras_rlr.detectors.features_fingerprint import features_fingerprint
from keras_rlr.detectors.training_callbacks import StopAtNan
from keras_rlr.inputs.cached_batches import split_levels
from keras_rlr.inputs.image_source import ImageSource, shuffled_order
from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.training.default_feature_cache import default_feature_cache

_BATCH = 8
_LEARNING_RATE = 3e-3
_WARMUP_STEPS = 20


class _Pairs(keras.utils.PyDataset):
    """Features of images, and the images as the backbone sees them."""

    def __init__(
        self, model: Any, dataset: Any, seed: int | None, feature_cache: Any
    ) -> None:
        super().__init__()
        self.model, self.dataset, self.seed = model, dataset, seed
        self.epoch = 0
        self._shuffle()
        self._store = None
        if feature_cache is not None:
            source = ImageSource(dataset, _BATCH)
            cached = FeatureCache.of(feature_cache).batches(model, source, seed=seed)
            self._store, self._keys = cached.store, dataset.image_keys()

    def _shuffle(self):
        self._order = shuffled_order(len(self.dataset), (self.seed, self.epoch))

    def __len__(self):
        return math.ceil(len(self.dataset) / _BATCH)

    def __getitem__(self, index):
        rows = self._order[index * _BATCH : (index + 1) * _BATCH]
        images = squares(self.dataset, rows, self.model)
        if self._store is None:
            return tuple(self.model.extract_features(images)), images
        kept = self._store.read([self._keys[i] for i in rows]).astype("float32")
        levels = split_levels(kept, self.model.feature_extractor.feature_shapes)
        features = map(ops.convert_to_numpy, self.model.standardize(levels))
        return tuple(features), images

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._shuffle()


def squares(dataset: Any, rows: Any, model: Any) -> np.ndarray:
    """Images of a data set as a model sees them, (images, height, width, 3)."""
    size, depth = model.image_size, model.bit_depth
    return np.stack(
        [
            to_resized_rgb(dataset[int(i)]["image"], size, f"image {i}", depth)
            for i in rows
        ]
    )


def train_decoder(
    model: Any,
    dataset: Any,
    epochs: int = 45,
    width: int = 64,
    seed: int | None = 0,
    callbacks: Any = (),
    feature_cache: Any = None,
) -> Any:
    """Trains a decoder of a model's features on normal images.

    Adam in batches of 8, its rate at 3e-3 after 20 steps and falling to 0 as a cosine,
    on the mean over images of the logarithm of the squared error.

    Args:
        model: An `RLR` model that was trained or adapted.
        dataset: `FolderDataset` of normal images.
        epochs: Passes over the images.
        width: Channels of the decoder.
        seed: Seed of initial values and order.
        callbacks: Keras callbacks.
        feature_cache: As of `RLR.fit`; by default in memory up to 2 GiB, and beyond
            that in a temporary folder.

    Returns:
        A `FeatureDecoder`.

    Raises:
        FloatingPointError: If the loss becomes NaN or infinite.
    """
    if model.tiling:
        raise ValueError(
            "A decoder shows what a model rebuilds of an image as a whole, and this "
            "one looks at tiles. Train one without tiles for it."
        )
    with contextlib.ExitStack() as stack:
        if feature_cache is None:
            feature_cache = stack.enter_context(
                default_feature_cache(model, len(dataset))
            )
        pairs = _Pairs(model, dataset, seed, feature_cache)
        return _train(model, pairs, epochs, width, seed, callbacks)


def _train(model, pairs, epochs, width, seed, callbacks):
    shapes = model.feature_extractor.feature_shapes
    decoder = FeatureDecoder(
        shapes,
        model.image_size,
        width=width,
        seed=seed,
        model=features_fingerprint(model),
    )
    warmup = min(_WARMUP_STEPS, epochs * len(pairs) - 1)
    decoder.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(
        _LEARNING_RATE / _WARMUP_STEPS,
        epochs * len(pairs) - warmup,
        warmup_target=_LEARNING_RATE,
        warmup_steps=warmup,
    )
    # TensorFlow traces a step twice that makes variables.
    decoder.optimizer.build(decoder.trainable_variables)
    decoder.fit(pairs, epochs=epochs, verbose=0, callbacks=[StopAtNan(), *callbacks])
    # What is saved is for use: a plain rate, and no schedule.
    decoder.compile(keras.optimizers.Adam(1e-3, name="adam"), error_in_decibels)
    return decoder


def measure_decoder(
    model: Any, decoder: Any, fitted: FolderDataset, held: FolderDataset
) -> dict[str, dict[str, float]]:
    """Measures a decoder on normal images that it was not trained on.

    Args:
        model: The `RLR` model.
        decoder: Its `FeatureDecoder`.
        fitted: Data set of the images it was trained on, for the mean images.
        held: Data set of other normal images.

    Returns:
        Dict by category of dicts of decibels: "psnr", the mean over the held images
        of 10·log10(255² / mean squared error); "mean_image_psnr", the same for the
        mean of the category's training images in place of the decoded ones; "gain",
        the difference; and "images", the number of images held.
    """
    results = {}
    for category in held.categories:
        rows = _rows(fitted, category)
        total = np.zeros((*model.image_shape, 3))
        for i in rows:
            total += squares(fitted, [i], model)[0]
        mean_image = total / len(rows)
        decoded, plain = [], []
        chosen = _rows(held, category)
        for start in range(0, len(chosen), _BATCH):
            images = squares(held, chosen[start : start + _BATCH], model)
            pictures = decoder.decode(model.extract_features(images))
            decoded += [_psnr(*pair) for pair in zip(pictures, images, strict=True)]
            plain += [_psnr(mean_image, image) for image in images]
        results[category] = {
            "images": len(chosen),
            "psnr": float(np.mean(decoded)),
            "mean_image_psnr": float(np.mean(plain)),
            "gain": float(np.mean(decoded) - np.mean(plain)),
        }
    return results


def _rows(dataset, category):
    return [i for i, s in enumerate(dataset.samples) if s.category == category]


def _psnr(picture, image):
    error = np.mean((picture - image) ** 2)
    return 10 * math.log10(255**2 / max(error, 1e-10))
