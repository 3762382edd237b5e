import numpy as np

from keras_rlr.inputs.augmentation import variant_key
from keras_rlr.inputs.image_keys import tile_of_key
from keras_rlr.inputs.training_batches import TrainingBatches


class CachedBatches(TrainingBatches):
    """Batches for `fit` of features in place of images: {"features_0", …, …}.

    Args:
        source: A `CachedSource`.
        store: The `FeatureStore` that holds its keys.
        feature_shapes: (height, width, channels) of each level.
        **kwargs: See `TrainingBatches`.
    """

    def __init__(self, source, store, feature_shapes, **kwargs):
        super().__init__(source, None, **kwargs)
        self.store = store
        self.feature_shapes = feature_shapes
        self.dtype = store.dtype.name
        if self.dtype == "bfloat16":
            # NumPy's stand-in for it is unknown to PyTorch.
            self.dtype = "float32"

    def features(self, most):
        """Yields lists of float32 arrays, one a level, of at most so many images.

        They are those that `RLR.adapt` would take of the images themselves.
        """
        left = most
        for keys in self.source.batches((self.seed, 0)):
            rows = self.store.read(keys[:left]).astype("float32")
            yield split_levels(rows, self.feature_shapes)
            left -= len(rows)
            if left == 0:
                return

    def _inputs(self, keys, seen, value_ranges, variants):
        rows = self.store.read(list(map(variant_key, keys, variants)))
        levels = split_levels(rows, self.feature_shapes)
        return {
            feature_name(level): rows.astype(self.dtype, copy=False)
            for level, rows in enumerate(levels)
        }

    def _tile(self, key):
        return tile_of_key(key)

    def _input_signature(self):
        return {
            feature_name(level): ((None, *shape), self.dtype)
            for level, shape in enumerate(self.feature_shapes)
        }


def feature_name(level):
    """The name of a level's features in a batch; `level` counts from 0."""
    return f"features_{level}"


def split_levels(rows, shapes):
    """(images, width) to one array (images, height, width, channels) a level."""
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    parts = np.split(rows, ends[:-1], axis=1)
    return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]
