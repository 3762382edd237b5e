import keras
import numpy as np

from keras_rlr.backbones.quick_convolution import use_quick_convolutions
from keras_rlr.detectors.integer_images import TakesImages
from keras_rlr.detectors.preprocessor import Preprocessor
from keras_rlr.layers.feature_aggregation import FeatureAggregation


class FeatureExtractor(TakesImages):
    """Images to aggregated features: preprocessor, frozen backbone, 3x3 averaging.

    Nothing in it is trained, and the backbone always runs in inference mode, so its
    batch statistics never move. It has no configuration of its own: `RLR` rebuilds
    it.

    Args:
        backbone: A `Backbone`.
        image_size: Of the images that the backbone sees.
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
        if backbone.origin == "catalogue":
            use_quick_convolutions(backbone.model)
        self.aggregation = FeatureAggregation(name="aggregation", dtype="float32")
        self.aggregation.build((None, None, None, 1))
        self.feature_shapes = [
            tuple(output.shape[1:]) for output in self.backbone.outputs
        ]
        # What `extract_by_image` made: a plain function, so Keras saves nothing of it.
        self.by_image = None
        self.built = True

    @property
    def trainable(self):
        """False, whatever a model that it is in is set to: it is never trained."""
        return False

    @trainable.setter
    def trainable(self, value):
        """Does nothing: `model.trainable = True` trains what was trained before."""

    @property
    def bit_depth(self):
        """See `Preprocessor`."""
        return self.preprocessor.bit_depth

    def call(self, images, preprocessed=False):
        """Returns the features of the levels."""
        pixels = images if preprocessed else self.preprocessor(images)
        maps = self.backbone(pixels, training=False)
        maps = maps if isinstance(maps, (list, tuple)) else [maps]
        return [self.aggregation(features) for features in maps]

    def compute_output_shape(self, input_shape):
        """Returns one shape a level."""
        return [(input_shape[0], *shape) for shape in self.feature_shapes]


def extract_by_image(model):
    """Returns a function of images that gives the features of each level.

    It takes one image at a time. In a larger batch the last bits of an image's features
    depend on its place in the batch, and so on which images a killed process had
    already computed. A CPU is as fast this way.

    A model keeps its function, which is compiled once: a training may need it for the
    statistics of the features, for a bank and for a cache.

    Args:
        model: A `FeatureDetector`.

    Returns:
        A function of a float32 array (images, height, width, 3) that returns
        a list of float32 arrays (images, H, W, C).
    """
    if model.feature_extractor.by_image is None:
        model.feature_extractor.by_image = _compiled_by_image(model)
    return model.feature_extractor.by_image


def _compiled_by_image(model):
    inputs = keras.Input((*model.image_shape, 3), dtype="float32")
    extractor = keras.Model(inputs, model.feature_extractor(inputs))
    # XLA takes longer to compile a backbone than it saves on TensorFlow.
    on_jax = keras.backend.backend() == "jax"
    extractor.compile(jit_compile="auto" if on_jax else False)

    def of_one(image):
        levels = extractor.predict_on_batch(image[None])
        levels = levels if isinstance(levels, list | tuple) else [levels]
        return [np.asarray(level, "float32") for level in levels]

    def of_all(images):
        parts = [of_one(image) for image in images]
        return [np.concatenate(level) for level in zip(*parts, strict=True)]

    return of_all
