"""The memory bank beside RLR's reconstructors."""

import math

import numpy as np

from keras_rlr.detectors.greedy_coreset import PatchSelection
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.memory_bank import MemoryBank


def check_error_share(share):
    """Returns `error_share` as a float.

    Args:
        share: The exponent of the error in the map; the distance has the rest.

    Raises:
        ValueError: If it is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(
            "`error_share` is how much of the map is the error's, from 0 (the distance "
            f"alone) to 1 (the error alone). Received: {share!r}."
        )
    return float(share)


def new_bank(feature_shapes, image_shape, size, distance):
    """Makes the layers of a bank of all levels.

    The grid is the finest of at most one token for 8 x 8 pixels, or the coarsest.

    Args:
        feature_shapes: (height, width, channels) of each level.
        image_shape: (height, width) of the images.
        size: Patches in the bank, or None.
        distance: "euclidean" or "cosine".

    Returns:
        The `FusedLevels` that makes patches of features, and the `MemoryBank`.
    """
    most = math.prod(side // 8 for side in image_shape)
    grids = sorted({(h, w) for h, w, _ in feature_shapes}, key=np.prod)
    grid = [grid for grid in grids if np.prod(grid) <= most] or grids[:1]
    tokens = FusedLevels(grid[-1], dtype="float32", name="bank_tokens")
    bank = MemoryBank(size, distance, name="memory_bank")
    shapes = [(None, *shape) for shape in feature_shapes]
    tokens.build(shapes)
    bank.build(tokens.compute_output_shape(shapes))
    return tokens, bank


def select_bank(model, parts):
    """Selects the patches of a model's bank anew.

    Args:
        model: The `RLR`.
        parts: Iterable of features of some images, lists of tensors, one a level.
    """
    selection = PatchSelection(model.coreset_ratio, model.max_patches, model.seed)
    for features in parts:
        selection.add(model.memory_bank.rows(model.bank_tokens(features)))
    patches, _ = selection.select()
    with model.scope():
        model.memory_bank.store(patches)
    model.forget_compiled_functions()
