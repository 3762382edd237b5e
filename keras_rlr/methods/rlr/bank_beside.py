"""The memory bank beside RLR's reconstructors."""

import numpy as np
from keras import ops

from keras_rlr.detectors.greedy_coreset import PatchSelection
from keras_rlr.layers.anomaly_map import upsample_map
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.memory_bank import MemoryBank

# Of normal images, the logarithm of the error's peak varies about three times as much
# as that of the distance's: weighed by that, neither speaks louder than the other.
ERROR_SHARE = 0.25


def new_bank(feature_shapes, image_size, size):
    """Makes the layers of a bank of all levels.

    The grid is the finest of at most one token for 8 x 8 pixels, or the coarsest.

    Args:
        feature_shapes: (height, width, channels) of each level.
        image_size: Side of the images.
        size: Patches in the bank, or None.

    Returns:
        The `FusedLevels` that makes patches of features, and the `MemoryBank`.
    """
    most = (image_size // 8) ** 2
    grids = sorted({(h, w) for h, w, _ in feature_shapes}, key=np.prod)
    grid = [grid for grid in grids if np.prod(grid) <= most] or grids[:1]
    tokens = FusedLevels(grid[-1], dtype="float32", name="bank_tokens")
    bank = MemoryBank(size, name="memory_bank")
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


def error_and_distance(error, distances):
    """Returns the map of both: error^s · distance^(1 - s), s = `ERROR_SHARE`.

    Args:
        error: float32 tensor (batch, size, size).
        distances: float32 tensor (batch, height, width), what the bank returned.

    Returns:
        float32 tensor (batch, size, size).
    """
    distances = upsample_map(distances, error.shape[1:])
    # Rounding may leave less than 0. Not every runtime lets NaN through a maximum.
    both = ops.power(ops.abs(error) + 1e-12, ERROR_SHARE)
    return both * ops.power(distances + 1e-12, 1.0 - ERROR_SHARE)
