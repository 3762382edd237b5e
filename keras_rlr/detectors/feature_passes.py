"""What a detector does with features on the host, batch by batch."""

import numpy as np
from keras import ops

from keras_rlr.detectors.moments import ChannelMoments


def adapt_to(model, batches):
    """Takes mean and variance of features.

    Args:
        model: The detector.
        batches: Iterable of lists of features, one a level.
    """
    moments = [ChannelMoments() for _ in model.levels]
    for levels in batches:
        for moment, features in zip(moments, levels, strict=True):
            moment.update(ops.convert_to_numpy(features))
    for layer, moment in zip(model.standardizations, moments, strict=True):
        layer.set_moments(moment.mean, moment.variance)


def extract(model, batches):
    """Returns the features of images, see `RLR.extract_features`.

    Args:
        model: The detector.
        batches: `PredictionBatches`.
    """
    parts = [
        [
            ops.convert_to_numpy(features)
            for features in model.standardize(model.feature_extractor(batch))
        ]
        for _, batch in batches.images()
    ]
    return [np.concatenate(level) for level in zip(*parts, strict=True)]


def reconstruct(model, features, batch_size):
    """Returns what a model rebuilds of features, see `RLR.reconstruct`."""
    expected = model.feature_extractor.feature_shapes
    received = [tuple(np.shape(f))[1:] for f in features]
    counts = {len(f) for f in features}
    if received != expected or len(counts) != 1:
        raise ValueError(
            "`reconstruct` takes one array (images, height, width, channels) a "
            f"level, for the levels {model.levels} of the shapes {expected} after "
            f"the first axis. Received: {[tuple(np.shape(f)) for f in features]}."
        )
    parts = []
    for start in range(0, counts.pop(), batch_size):
        stop = start + batch_size
        chosen = [ops.convert_to_tensor(f[start:stop], "float32") for f in features]
        parts.append(
            [
                ops.convert_to_numpy(ops.cast(rebuilt, "float32"))
                for rebuilt in model.rebuild(chosen)
            ]
        )
    return [np.concatenate(level) for level in zip(*parts, strict=True)]
