"""Multi-class visual anomaly detection for Keras 3 by the RLR method."""

from keras_rlr import layers, losses, metrics
from keras_rlr.models.feature_reconstructor import FeatureReconstructor
from keras_rlr.models.import_torch_checkpoint import import_torch_checkpoint
from keras_rlr.models.rlr import RLR

__version__ = "0.1.0"

__all__ = [
    "RLR",
    "FeatureReconstructor",
    "__version__",
    "import_torch_checkpoint",
    "layers",
    "losses",
    "metrics",
]
