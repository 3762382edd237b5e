"""Multi-class visual anomaly detection for Keras 3 by the RLR method."""

from keras_rlr import layers, losses
from keras_rlr.models.feature_reconstructor import FeatureReconstructor

__version__ = "0.1.0"

__all__ = ["FeatureReconstructor", "__version__", "layers", "losses"]
