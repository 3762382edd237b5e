"""The models, under the path where users of version 0.1 import them from."""

from keras_rlr.detectors.feature_decoder import FeatureDecoder
from keras_rlr.detectors.preprocessor import Preprocessor
from keras_rlr.methods.rlr.feature_reconstructor import FeatureReconstructor
from keras_rlr.methods.rlr.import_torch_checkpoint import import_torch_checkpoint
from keras_rlr.methods.rlr.rlr import RLR

__all__ = [
    "RLR",
    "FeatureDecoder",
    "FeatureReconstructor",
    "Preprocessor",
    "import_torch_checkpoint",
]
