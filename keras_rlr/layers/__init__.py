"""The layers of the methods: ordinary Keras layers that know nothing of images."""

from keras_rlr.layers.anomaly_map import AnomalyMap
from keras_rlr.layers.anomaly_score import AnomalyScore
from keras_rlr.layers.feature_aggregation import FeatureAggregation
from keras_rlr.layers.feature_perturbation import FeaturePerturbation
from keras_rlr.layers.feature_standardization import FeatureStandardization
from keras_rlr.layers.feed_forward import FeedForward
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.grid_attention import GridAttention
from keras_rlr.layers.initializers import SeededNormal, SeededUniform
from keras_rlr.layers.learned_position_encoding_2d import LearnedPositionEncoding2D
from keras_rlr.layers.local_cross_attention import LocalCrossAttention
from keras_rlr.layers.masked_learnable_key_attention import MaskedLearnableKeyAttention
from keras_rlr.layers.memory_bank import MemoryBank
from keras_rlr.layers.position_gaussians import PositionGaussians
from keras_rlr.layers.reconstruction_block import ReconstructionBlock
from keras_rlr.layers.reference_weights import ReferenceWeights
from keras_rlr.layers.sine_position_encoding_2d import SinePositionEncoding2D
from keras_rlr.layers.usual_map import UsualMap
from keras_rlr.layers.weighted_batch_normalization import WeightedBatchNormalization

__all__ = [
    "AnomalyMap",
    "AnomalyScore",
    "FeatureAggregation",
    "FeaturePerturbation",
    "FeatureStandardization",
    "FeedForward",
    "FusedLevels",
    "GridAttention",
    "LearnedPositionEncoding2D",
    "LocalCrossAttention",
    "MaskedLearnableKeyAttention",
    "MemoryBank",
    "PositionGaussians",
    "ReconstructionBlock",
    "ReferenceWeights",
    "SeededNormal",
    "SeededUniform",
    "SinePositionEncoding2D",
    "UsualMap",
    "WeightedBatchNormalization",
]
