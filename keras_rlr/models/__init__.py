"""The models: a reconstructor for one level, RLR, the whole detector, and a decoder."""

from keras_rlr.models.feature_decoder import FeatureDecoder
from keras_rlr.models.feature_reconstructor import FeatureReconstructor
from keras_rlr.models.import_torch_checkpoint import import_torch_checkpoint
from keras_rlr.models.preprocessor import Preprocessor
from keras_rlr.models.rlr import RLR

__all__ = [
    "RLR",
    "FeatureDecoder",
    "FeatureReconstructor",
    "Preprocessor",
    "import_torch_checkpoint",
]
