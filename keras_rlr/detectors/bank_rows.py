"""Which patches of a memory bank were taken from which images."""

import numpy as np
from keras import ops

from keras_rlr.detectors.feature_extractor import extract_by_image
from keras_rlr.detectors.on_tiles import training_source
from keras_rlr.inputs.augmentation import variants_of, vary
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.prediction_batches import PredictionBatches

_IMAGES_AT_A_TIME = 8
# Distances between patches of images and the bank that are in memory at once.
_MOST_DISTANCES = 2**24
# Of the mean length of a patch: features that were cached are rounded to 16 bits.
_TOLERANCE = 5e-3


def rows_taken_from(model, images):
    """Returns which patches of a model's bank are patches of some images.

    Args:
        model: A detector with a `memory_bank` and the `bank_tokens` that it compares.
        images: Normal images that the bank may have been selected from: any data that
            `fit` takes.

    Returns:
        Boolean array (bank_size,).
    """
    bank = np.asarray(ops.convert_to_numpy(model.memory_bank.patches), "float32")
    middle = bank.mean(axis=0)
    bank = bank - middle
    lengths = np.einsum("ij,ij->i", bank, bank)
    nearest = np.full(len(bank), np.inf, "float32")
    step = max(1, _MOST_DISTANCES // len(bank))
    source = training_source(model, ImageSource(images, _IMAGES_AT_A_TIME))
    batches = PredictionBatches(
        source,
        model.image_size,
        purpose="look at",
        normal_only=True,
        bit_depth=model.bit_depth,
    )
    extract = extract_by_image(model)
    for _, found in batches.images():
        for variant in variants_of(getattr(model, "augmentation", ())):
            levels = extract(np.ascontiguousarray(vary(found, variant)))
            levels = model.standardize(list(map(ops.convert_to_tensor, levels)))
            rows = model.memory_bank.rows(model.bank_tokens(levels)) - middle
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                squares = np.einsum("ij,ij->i", part, part)[:, None]
                squares = squares - 2.0 * part @ bank.T
                nearest = np.minimum(nearest, squares.min(axis=0) + lengths)
    return nearest <= _TOLERANCE**2 * lengths.mean()
