import copy
import json
import re
import warnings
from typing import ClassVar

import numpy as np
from keras import ops

from keras_rlr.backbones import (
    Backbone,
    create_backbone,
    deserialize_backbone,
    level_name,
    resolve_levels,
    serialize_backbone,
)
from keras_rlr.detectors.anomaly_detector import INFERENCE_BATCH, AnomalyDetector
from keras_rlr.detectors.distribution import spread_variables
from keras_rlr.detectors.feature_cache import FeatureCache
from keras_rlr.detectors.feature_extractor import FeatureExtractor, extract_by_image
from keras_rlr.detectors.moments import ChannelMoments
from keras_rlr.detectors.on_tiles import training_source
from keras_rlr.inputs.cached_batches import feature_name
from keras_rlr.inputs.first_batches import finite_source
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.layers.feature_standardization import FeatureStandardization

MOST_IMAGES_TO_ADAPT_ON = 512

_NAME_OF_POLICY = re.compile(r'("name": )"(?:(?:mixed_)?b?float16|float64)"')


class FeatureDetector(AnomalyDetector):
    """A detector that looks at the features of a frozen backbone.

    Args:
        backbone: A name, a Keras model, a `Backbone`, or what `get_config` has of one.
        backbone_weights: `"imagenet"`, the path of a weights file, or None.
        levels: Feature levels, fine to coarse, as integers; of a vision transformer
            blocks, and tuples of blocks. None for those of `PYRAMID_LEVELS`, or for
            the transformer's usual ones.
        standardize_features: Whether each channel is brought to mean 0 and variance
            1 over the training images.
        bit_depth: Bits that a value of uint16 images has; None is 16.
        **kwargs: See `AnomalyDetector`.
    """

    profits_from_cache = True
    # Where the user names none, of a backbone that is no vision transformer.
    PYRAMID_LEVELS: ClassVar[tuple[int, ...]] = (1, 2, 3)

    def __init__(
        self,
        backbone,
        backbone_weights,
        levels,
        standardize_features=False,
        bit_depth=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        levels = None if levels is None else resolve_levels(levels)
        self.standardize_features = bool(standardize_features)
        with self.scope():
            backbone = self._backbone(backbone, backbone_weights, levels)
            spread_variables(backbone.model, self.distribution)
            self.backbone_name = backbone.name
            self.levels = backbone.levels
            # Of a vision transformer, all levels are of one grid.
            self.has_blocks = backbone.has_blocks
            # As text, because Keras tracks the dicts of a model and empties those it
            # deserialises.
            self._backbone_json = json.dumps(serialize_backbone(backbone))
            self.feature_extractor = FeatureExtractor(
                backbone, self.image_size, bit_depth, name="feature_extractor"
            )
            self.standardizations = []
            for level, shape in zip(self.levels, self.feature_shapes, strict=True):
                layer = FeatureStandardization(
                    name=f"standardization_{level_name(level)}"
                )
                layer.build((None, *shape))
                self.standardizations.append(layer)

    def _backbone(self, backbone, weights, levels):
        if isinstance(backbone, Backbone):
            return backbone
        if isinstance(backbone, dict):
            return deserialize_backbone(
                copy.deepcopy(backbone),  # Keras empties what it deserialises
                levels=levels,
                image_size=self.image_size,
                dtype=self.dtype_policy,
            )
        return create_backbone(
            backbone,
            levels=levels,
            image_size=self.image_size,
            weights=weights,
            dtype=self.dtype_policy,
            pyramid_levels=self.PYRAMID_LEVELS,
        )

    @property
    def preprocessor(self):
        """The layer that makes of images what the backbone sees."""
        return self.feature_extractor.preprocessor

    @property
    def feature_shapes(self):
        """(height, width, channels) of the features of each level."""
        return self.feature_extractor.feature_shapes

    @property
    def needs_adapting(self):
        """Whether statistics of the features are used but were never taken."""
        return self.uses_statistics and not all(
            layer.is_adapted for layer in self.standardizations
        )

    @property
    def has_looked(self):
        """Whether the statistics that are used were taken."""
        return not self.needs_adapting

    def forget_first_look(self):
        """Has no statistics: those that it has are of images it was not trained on."""
        for layer in self.standardizations:
            layer.forget_moments()

    @property
    def uses_statistics(self):
        """Whether anything depends on mean and variance of the features."""
        return self.standardize_features

    def check_ready(self):
        """Refuses to infer before the statistics that are used were taken."""
        if self.needs_adapting:
            raise ValueError(
                "This model standardises its features and has not seen normal images "
                "yet. Call fit(train_ds), or adapt(train_ds), first."
            )

    def features_of(self, batch):
        """Returns the features of a batch, a list of tensors, standardised if need be.

        Args:
            batch: Images, or a dict that holds "image" or the features themselves.
        """
        if not isinstance(batch, dict):
            features = self.feature_extractor(batch)
        elif "image" in batch:
            features = self.feature_extractor(batch["image"])
        else:
            names = map(feature_name, range(len(self.levels)))
            features = [ops.cast(batch[name], "float32") for name in names]
        return self.standardize(features)

    def standardize(self, features):
        """Returns the features of the levels, standardised if the model does so."""
        if not self.standardize_features:
            return features
        return [
            layer(f) for layer, f in zip(self.standardizations, features, strict=True)
        ]

    def training_batches(self, source, feature_cache, steps_per_epoch, **order):
        """Returns batches of images, or of their features from a cache."""
        if feature_cache is None:
            if self.needs_adapting:
                self._adapt_to_images(source)
            return super().training_batches(source, None, steps_per_epoch, **order)
        cache = FeatureCache.of(feature_cache)
        batches = cache.batches(self, source, steps_per_epoch, **order)
        if self.needs_adapting:
            self._adapt_to(batches.features(MOST_IMAGES_TO_ADAPT_ON))
        return batches

    def variants(self, images):
        """Yields the images, and others made of them if the model learns from such.

        Args:
            images: float32 array (images, height, width, 3).
        """
        yield images

    def features_in(self, batch, extract):
        """Yields the features that a batch of `training_batches` holds.

        Args:
            batch: A batch of images, or of features from a cache.
            extract: What `extract_by_image` returned.

        Yields:
            List of float32 tensors, one a level, standardised if the model does so.
        """
        real = int(np.sum(batch["weight"] > 0))
        if "image" in batch:
            for images in self.variants(batch["image"][:real]):
                yield self._checked_and_standardized(extract(images))
            return
        names = map(feature_name, range(len(self.levels)))
        levels = [batch[name][:real].astype("float32") for name in names]
        yield self._checked_and_standardized(levels)

    def _checked_and_standardized(self, levels):
        _refuse_not_finite(levels)
        return self.standardize(list(map(ops.convert_to_tensor, levels)))

    def adapt(self, x, batch_size=None, steps=None):
        """Takes mean and variance of the features from normal images.

        `fit` does it once, the first time a model is trained. A later call replaces
        the statistics. Where features are standardised by them, what the model stored
        of the former ones (memory bank, Gaussians) is forgotten, and trained weights
        are warned of: call `fit` again.

        Args:
            x: Normal images, any kind of data that `fit` takes. At most 512 are used:
                drawn by the seed from data with a length and an index, else the first.
            batch_size: For data that is not batched.
            steps: Number of batches; needed for endless data.
        """
        self._adapt_to_images(self.source_to_adapt_to(x, batch_size, steps))

    def source_to_adapt_to(self, x, batch_size=None, steps=None):
        """Returns the source of what `adapt` was given.

        Args:
            x: See `adapt`, as are all that follow.
            batch_size: See `adapt`.
            steps: See `adapt`.
        """
        size = INFERENCE_BATCH if batch_size is None else batch_size
        source = finite_source("adapt", x, size, steps)
        return training_source(self, source)

    def _adapt_to_images(self, source):
        self._adapt_to(self.features_to_adapt_to(source))

    def features_to_adapt_to(self, source):
        """Yields lists of features, as tensors not standardised, of at most 512 images.

        Args:
            source: An `ImageSource` or `FirstBatches`.
        """
        batches = PredictionBatches(
            source.in_batches_of(INFERENCE_BATCH),
            self.image_size,
            max_images=MOST_IMAGES_TO_ADAPT_ON,
            order_seed=(self.seed, 0),
            purpose="adapt to",
            normal_only=True,
            bit_depth=self.bit_depth,
        )
        # Compiled, which is several times as fast as one operation after the other.
        extract = extract_by_image(self)
        for _, images in batches.images():
            yield list(map(ops.convert_to_tensor, extract(images)))

    def _adapt_to(self, batches):
        moments = [ChannelMoments() for _ in self.levels]
        for levels in batches:
            for moment, features in zip(moments, levels, strict=True):
                moment.update(ops.convert_to_numpy(features))
        pairs = list(zip(self.standardizations, moments, strict=True))
        is_moved = any(layer.is_moved_by(m.mean, m.variance) for layer, m in pairs)
        for layer, moment in pairs:
            layer.set_moments(moment.mean, moment.variance)
        self.thresholds.forget()
        if is_moved and self.standardize_features:
            self.leave_former_features()

    def leave_former_features(self):
        """Gives up what suits features that were standardised otherwise than now.

        Weights can't be given up, so it warns.
        """
        warnings.warn(
            f"The features of this {type(self).__name__} are now standardised by "
            "another mean and spread than before. If its weights were trained, they "
            "suit the former ones: train it again, with fit(train_ds), or its scores "
            "mean little.",
            stacklevel=5,
        )

    def extract_features(self, images):
        """Returns the features that the model looks at.

        Args:
            images: Images, any kind of data that `predict` takes.

        Returns:
            List of float32 arrays (images, H, W, C), one a level, fine to coarse;
            averaged over 3x3 tokens and, if the model does so, standardised.
        """
        if self.tiling:
            raise ValueError(
                "This model looks at tiles, each of which has features of its own. Cut "
                "the images first, and ask a model without `tiles`."
            )
        batches = self.inference_batches("extract features", images)
        parts = [
            [ops.convert_to_numpy(features) for features in self.features_of(batch)]
            for _, batch in batches.images()
        ]
        return [np.concatenate(level) for level in zip(*parts, strict=True)]

    def get_config(self):
        """Returns the constructor's arguments; of the backbone no weights."""
        return {
            **super().get_config(),
            "backbone": json.loads(self._backbone_json),
            "levels": self.levels,
            "standardize_features": self.standardize_features,
        }

    def config_in(self, dtype):
        """Returns the configuration of the same model of another dtype policy."""
        config = super().config_in(dtype)
        if dtype is not None:
            # A backbone that was built under another policy than float32 holds it.
            config["backbone"] = json.loads(
                _NAME_OF_POLICY.sub(rf'\1"{dtype}"', self._backbone_json)
            )
        return config


def _refuse_not_finite(features):
    if not all(np.isfinite(level).all() for level in features):
        raise FloatingPointError(
            "The backbone's features of some training images are not finite numbers, "
            "so nothing can be compared with them. Check the backbone's weights and, "
            "in 16 bits, its range."
        )


def mean_features(levels):
    """Returns what an image shows as a whole: the mean of the tokens of each level.

    Args:
        levels: List of float32 tensors (batch, H, W, C).

    Returns:
        float32 tensor (batch, channels of all levels).
    """
    means = [ops.mean(features, axis=(1, 2)) for features in levels]
    return ops.concatenate(means, axis=-1)
