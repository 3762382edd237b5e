import copy
import json
import re

import numpy as np
from keras import ops

from keras_rlr.backbones import (
    Backbone,
    create_backbone,
    deserialize_backbone,
    serialize_backbone,
)
from keras_rlr.detectors.anomaly_detector import INFERENCE_BATCH, AnomalyDetector
from keras_rlr.detectors.distribution import spread_variables
from keras_rlr.detectors.feature_cache import FeatureCache
from keras_rlr.detectors.feature_extractor import FeatureExtractor
from keras_rlr.detectors.moments import ChannelMoments
from keras_rlr.inputs.cached_batches import feature_name
from keras_rlr.inputs.first_batches import finite_source
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.layers.feature_standardization import FeatureStandardization

MOST_IMAGES_TO_ADAPT_ON = 512


class FeatureDetector(AnomalyDetector):
    """A detector that looks at the features of a frozen backbone.

    Args:
        backbone: A name, a Keras model, a `Backbone`, or what `get_config` has of one.
        backbone_weights: `"imagenet"`, the path of a weights file, or None.
        levels: Feature levels, fine to coarse, as integers.
        standardize_features: Whether each channel is brought to mean 0 and variance
            1 over the training images.
        bit_depth: Bits that a value of uint16 images has; None is 16.
        **kwargs: See `AnomalyDetector`.
    """

    profits_from_cache = True

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
        self.levels = resolve_levels(levels)
        self.standardize_features = bool(standardize_features)
        with self.scope():
            backbone = self._backbone(backbone, backbone_weights)
            spread_variables(backbone.model, self.distribution)
            self.backbone_name = backbone.name
            # As text, because Keras tracks the dicts of a model and empties those it
            # deserialises.
            self._backbone_json = json.dumps(serialize_backbone(backbone))
            self.feature_extractor = FeatureExtractor(
                backbone, self.image_size, bit_depth, name="feature_extractor"
            )
            self.standardizations = []
            for level, shape in zip(self.levels, self.feature_shapes, strict=True):
                layer = FeatureStandardization(name=f"standardization_{level}")
                layer.build((None, *shape))
                self.standardizations.append(layer)

    def _backbone(self, backbone, weights):
        if isinstance(backbone, Backbone):
            return backbone
        if isinstance(backbone, dict):
            return deserialize_backbone(
                copy.deepcopy(backbone),  # Keras empties what it deserialises
                levels=self.levels,
                image_size=self.image_size,
                dtype=self.dtype_policy,
            )
        return create_backbone(
            backbone,
            levels=self.levels,
            image_size=self.image_size,
            weights=weights,
            dtype=self.dtype_policy,
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

    def adapt(self, x, batch_size=None, steps=None):
        """Takes mean and variance of the features from normal images.

        `fit` does it once, the first time a model is trained; a later call replaces
        the statistics.

        Args:
            x: Normal images, any kind of data that `fit` takes. At most 512 are used:
                drawn by the seed from data with a length and an index, else the first.
            batch_size: For data that is not batched.
            steps: Number of batches; needed for endless data.
        """
        batch_size = batch_size or INFERENCE_BATCH
        self._adapt_to_images(finite_source("adapt", x, batch_size, steps))

    def _adapt_to_images(self, source):
        batches = PredictionBatches(
            source.in_batches_of(INFERENCE_BATCH),
            self.image_size,
            max_images=MOST_IMAGES_TO_ADAPT_ON,
            order_seed=(self.seed, 0),
            purpose="adapt to",
            normal_only=True,
            bit_depth=self.bit_depth,
        )
        self._adapt_to(self.feature_extractor(images) for _, images in batches.images())

    def _adapt_to(self, batches):
        moments = [ChannelMoments() for _ in self.levels]
        for levels in batches:
            for moment, features in zip(moments, levels, strict=True):
                moment.update(ops.convert_to_numpy(features))
        for layer, moment in zip(self.standardizations, moments, strict=True):
            layer.set_moments(moment.mean, moment.variance)
        self.thresholds.forget()

    def extract_features(self, images):
        """Returns the features that the model looks at.

        Args:
            images: Images, any kind of data that `predict` takes.

        Returns:
            List of float32 arrays (images, H, W, C), one a level, fine to coarse;
            averaged over 3x3 tokens and, if the model does so, standardised.
        """
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
            # A backbone that was built under a policy of mixed precision holds it.
            text = re.sub('"mixed_b?float16"', f'"{dtype}"', self._backbone_json)
            config["backbone"] = json.loads(text)
        return config


def mean_features(levels):
    """Returns what an image shows as a whole: the mean of the tokens of each level.

    Args:
        levels: List of float32 tensors (batch, H, W, C).

    Returns:
        float32 tensor (batch, channels of all levels).
    """
    means = [ops.mean(features, axis=(1, 2)) for features in levels]
    return ops.concatenate(means, axis=-1)


def resolve_levels(levels):
    """Returns the levels as a tuple; the backbone says later which it has.

    Args:
        levels: An integer or several.

    Raises:
        ValueError: If there are none.
    """
    levels = tuple(int(level) for level in np.atleast_1d(levels))
    if not levels:
        raise ValueError(
            "`levels` must be one or more integers. Received none; the paper's model "
            "has levels=(1, 2, 3)."
        )
    return levels
