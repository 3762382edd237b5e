from functools import partial

import numpy as np
from keras import ops

from keras_rlr.detectors.detector_model import DetectorModel


def compact_copy(model, dtype=None):
    """Returns a copy of an `RLR` model with its references folded.

    Args:
        model: The model; of a compact one itself is returned, and of one whose tiles
            have references of their own: what is folded of one serves no other.
        dtype: A dtype policy for the copy, or None for the model's.
    """
    if model.is_compact:
        return model
    if model.places_each > 1:
        return DetectorModel.compact(model, dtype)
    settings = {**model.config_in(dtype), "compact": True}
    with model.scope():
        copy = type(model).from_config(settings)
        kept = ["feature_extractor", "standardizations", "memory_bank", "usual_map"]
        for name in filter(partial(getattr, model), kept):
            # Paths are ambiguous in a backbone that holds models.
            _copy_values(_variables(model, name), _variables(copy, name))
        for own, original, shape in zip(
            copy.reconstructors,
            model.reconstructors,
            model.grid_shapes,
            strict=True,
        ):
            # Of other layers than a compact one; their names are this package's.
            values = {variable.path: variable for variable in original.variables}
            shared = [v for v in own.variables if v.path in values]
            _copy_values([values[v.path] for v in shared], shared)
            own.fold(original, np.zeros((1, *shape), "float32"))
    model.lend_thresholds(copy)
    return copy


def _variables(model, name):
    layers = getattr(model, name)
    layers = layers if isinstance(layers, list) else [layers]
    return [variable for layer in layers for variable in layer.variables]


def _copy_values(sources, targets):
    for source, target in zip(sources, targets, strict=True):
        # By way of NumPy: variables that share an array on JAX lose it both when a
        # step gives one's away.
        target.assign(ops.convert_to_numpy(source))
