"""The models: a reconstructor for one level, and RLR, the whole detector."""

from keras_rlr.models.feature_reconstructor import FeatureReconstructor

__all__ = ["FeatureReconstructor"]
