"""What RLR takes from the images after it trained: which errors are usual where."""

import itertools
import warnings

import keras
import numpy as np
from keras import ops

from keras_rlr.layers.usual_map import UsualMap

# Images that are kept; of tiles whose place counts, enough of each place.
_CAPACITY = 512


def new_usual_map(neighbors, powers, feature_shapes, image_shape, places):
    """Returns an empty `UsualMap` for maps of the model's images.

    Args:
        neighbors: Number of images.
        powers: The exponents of what is usual, of the map and of the score.
        feature_shapes: (height, width, channels) of each level.
        image_shape: (height, width) of the images.
        places: Number of tiles of which each is compared with those of its place, or 1.
    """
    usual_map = UsualMap(
        neighbors,
        powers,
        capacity=max(_CAPACITY, neighbors * places if places > 1 else 0),
        with_numbers=places > 1,
        name="usual_map",
    )
    channels = sum(shape[-1] for shape in feature_shapes)
    usual_map.build((None, *image_shape), (None, channels))
    return usual_map


def look_back(model, batches, steps):
    """Keeps the maps of some of the images that a model was trained on.

    Args:
        model: The `RLR`, with a `usual_map`.
        batches: `TrainingBatches` that it was trained on.
        steps: Batches of an epoch; None for all of a pass.
    """
    maps, descriptions, left = [], [], model.usual_map.capacity
    tiles: list[int] = []
    # The same images, whether or not a training was interrupted.
    batches.begin_epoch(0, step=0)
    for (batch,) in itertools.islice(batches.generate(whole=True), steps):
        outputs, real = _outputs(model, batch)
        maps.append(model.usual_map.reduced(outputs["anomaly_map"][:real][:left]))
        descriptions.append(outputs["image_features"][:real][:left])
        tiles.extend(batch["tile"][:real][:left] if "tile" in batch else ())
        left -= len(maps[-1])
        if not left:
            break
    with model.scope():
        model.usual_map.store(np.concatenate(maps), np.concatenate(descriptions), tiles)


def announce_missing_maps(usual_map):
    """Warns if scores are of another unit than those of a model that `fit` finished.

    Args:
        usual_map: The model's `UsualMap`.
    """
    if not usual_map.is_in_use:
        warnings.warn(
            "This RLR compares with similar training images and has none: `fit` has "
            "not ended, or its weights were saved within it, as ModelCheckpoint does. "
            "Its maps and scores are the errors, not in units of what is usual. "
            "Call fit(train_ds, initial_epoch=1, epochs=1): it takes no step of "
            "training and looks at the images.",
            stacklevel=2,
        )


def _outputs(model, batch):
    """What the model says of the images or features of a batch, as arrays."""
    count = len(batch["weight"])
    inputs = {
        name: rows
        for name, rows in batch.items()
        # Noise keys stay: by them a model tells tiles from images.
        if name != "weight"
    }
    inputs["describe"] = np.zeros(count, "float32")
    with model.scope():
        outputs = keras.Model.predict_on_batch(model, inputs)
    outputs = {
        name: np.asarray(ops.convert_to_numpy(outputs[name])) for name in outputs
    }
    return outputs, int(np.sum(batch["weight"] > 0))
