import keras

from keras_rlr.detectors.preprocessor import Preprocessor
from keras_rlr.layers.feature_aggregation import FeatureAggregation


class FeatureExtractor(keras.layers.Layer):
    """Images to aggregated features: preprocessor, frozen backbone, 3x3 averaging.

    Nothing in it is trained, and the backbone always runs in inference mode, so its
    batch statistics never move. It has no configuration of its own: `RLR` rebuilds
    it.

    Args:
        backbone: A `Backbone`.
        image_size: Side of the images the backbone sees.
        bit_depth: See `Preprocessor`.

    Call arguments:
        images: Tensor (batch, height, width, channels), see `Preprocessor`.
        preprocessed: Whether they are what the preprocessor returned, already.

    Returns:
        List of float32 tensors (batch, H, W, C), one a level, fine to coarse.
    """

    def __init__(self, backbone, image_size, bit_depth=None, **kwargs):
        super().__init__(autocast=False, trainable=False, **kwargs)
        self.preprocessor = Preprocessor(
            image_size, backbone.mean, backbone.std, bit_depth, name="preprocessor"
        )
        self.preprocessor.build((None, None, None, 3))
        self.backbone = backbone.model
        self.aggregation = FeatureAggregation(name="aggregation", dtype="float32")
        self.aggregation.build((None, None, None, 1))
        self.feature_shapes = [
            tuple(output.shape[1:]) for output in self.backbone.outputs
        ]
        self.built = True

    def call(self, images, preprocessed=False):
        """Returns the features of the levels."""
        pixels = images if preprocessed else self.preprocessor(images)
        maps = self.backbone(pixels, training=False)
        maps = maps if isinstance(maps, (list, tuple)) else [maps]
        return [self.aggregation(features) for features in maps]

    def compute_output_shape(self, input_shape):
        """Returns one shape a level."""
        return [(input_shape[0], *shape) for shape in self.feature_shapes]
