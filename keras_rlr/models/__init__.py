"""The models: a reconstructor for one level, and RLR, the whole detector."""

from keras_rlr.models.feature_reconstructor import FeatureReconstructor
from keras_rlr.models.import_torch_checkpoint import import_torch_checkpoint
from keras_rlr.models.preprocessor import Preprocessor
from keras_rlr.models.rlr import RLR

__all__ = ["RLR", "FeatureReconstructor", "Preprocessor", "import_torch_checkpoint"]
