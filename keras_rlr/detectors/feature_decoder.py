import math

import keras
from keras import ops

from keras_rlr.image_size import checked_image_size, height_and_width
from keras_rlr.layers.initializers import SeededUniform, derive_seed, resolve_seed

# The last convolution puts the pixels of so large squares side by side as channels.
_SQUARE = 4
_BLOCKS = 3
# Mean square of what rounding to whole numbers took from the images.
_ROUNDING = 1 / 12


@keras.saving.register_keras_serializable(package="keras_rlr")
def error_in_decibels(images, pictures):
    """10·log10 of each picture's mean squared error: 48.1 less its PSNR.

    The mean over pictures is what a decoder is measured by, and it counts a picture
    that is nearly right as much as one that is far from it.

    Args:
        images: Tensor (batch, height, width, 3) in 0-255.
        pictures: Tensor of the same shape.

    Returns:
        float32 tensor (batch,).
    """
    difference = ops.cast(images, "float32") - ops.cast(pictures, "float32")
    error = ops.mean(ops.square(difference), axis=(1, 2, 3)) + _ROUNDING
    return ops.log(error) * (10.0 / math.log(10.0))


@keras.saving.register_keras_serializable(package="keras_rlr")
class FeatureDecoder(keras.Model):
    """Turns the features of an `RLR` model back into pictures.

    Trained on normal images, it shows what a reconstruction looks like: given rebuilt
    features, a picture of the image without its defects. It is for looking at, and
    has no part in scores.

    Every level goes through a convolution and is enlarged to a quarter of the image's
    side; their sum and a learned map of what usually is where go through residual
    convolutions, and the last one's channels become pixels. The paper's decoder (a
    ResNet with batch normalisation, authors' implementation) does the same with more
    layers.

    Args:
        feature_shapes: (height, width, channels) of each level, fine to coarse, as
            `RLR.extract_features` gives them.
        image_size: Side of the pictures or (height, width); multiples of every grid's.
        width: Channels of the convolutions.
        seed: Seed of the initial values; None draws one.
        model: Fingerprint of the `RLR` model whose features it was trained on, see
            `features_fingerprint`.

    Call arguments:
        features: List of tensors (batch, height, width, channels).

    Returns:
        float32 tensor (batch, height, width, 3), RGB around 0-255.

    Raises:
        ValueError: If a grid's side divides neither a quarter of the image's nor the
            finest grid's, or no level is given.

    Example:

    >>> decoder = keras_rlr.FeatureDecoder([(16, 16, 120)], image_size=256, width=32)
    >>> decoder([np.zeros((1, 16, 16, 120), "float32")]).shape
    (1, 256, 256, 3)
    """

    def __init__(
        self, feature_shapes, image_size, width=64, seed=None, model="", **kwargs
    ):
        feature_shapes = tuple(tuple(map(int, shape)) for shape in feature_shapes)
        side = _working_side(feature_shapes, image_size)
        seed = resolve_seed(seed)
        inputs = [keras.Input(shape) for shape in feature_shapes]
        height, _ = height_and_width(image_size)
        outputs = _Layers(seed, width).build(inputs, side, height // side)
        super().__init__(inputs, outputs, **kwargs)
        self.feature_shapes = feature_shapes
        self.image_size = checked_image_size(image_size)
        self.width = int(width)
        self.seed = seed
        self.model = model
        self.compile(keras.optimizers.Adam(1e-3, name="adam"), error_in_decibels)

    def decode(self, features, batch_size=16):
        """Returns pictures of features.

        Args:
            features: List of arrays (images, height, width, channels), one a level,
                as from `RLR.extract_features` or `RLR.reconstruct`.
            batch_size: Images at a time.

        Returns:
            float32 array (images, height, width, 3) in 0-255.
        """
        shapes = [tuple(part.shape[1:]) for part in features]
        if shapes != list(self.feature_shapes):
            raise ValueError(
                f"The decoder was made for features of the shapes "
                f"{list(self.feature_shapes)} after the first axis. Received: {shapes}."
            )
        pictures = self.predict(features, batch_size=batch_size, verbose=0)
        return pictures.clip(0.0, 255.0)

    def get_compile_config(self):
        """Returns nothing before training: the constructor compiles."""
        return super().get_compile_config() if self.optimizer.built else {}

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "feature_shapes": self.feature_shapes,
            "image_size": self.image_size,
            "width": self.width,
            "seed": self.seed,
            "model": self.model,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config):
        """Builds the decoder of a configuration."""
        return cls(**config)


def _working_side(feature_shapes, image_size):
    """Height of the grid that all levels are brought to."""
    if not feature_shapes:
        raise ValueError("A decoder needs the shape of at least one level.")
    whole_height, whole_width = height_and_width(image_size)
    for height, width, _ in feature_shapes:
        if whole_height % height or height * whole_width != width * whole_height:
            raise ValueError(
                "A decoder needs grids that divide the image, of its proportions. "
                f"Received a grid of {height}x{width} and images of {image_size}."
            )
    sides = [height for height, _, _ in feature_shapes]
    for side in (whole_height // _SQUARE, max(sides)):
        if side >= max(sides) and not any(side % part for part in sides):
            return side
    raise ValueError(
        "A decoder needs grids whose sides divide the finest's. Received sides "
        f"{sides}."
    )


class _Layers:
    """Makes the layers, each with its own seed."""

    def __init__(self, seed, width):
        self.seed = seed
        self.width = width
        self.count = 0

    def build(self, inputs, side, square):
        parts = [self.enlarge(self.conv(level), side) for level in inputs]
        x = keras.layers.Add()(parts) if len(parts) > 1 else parts[0]
        x = _UsualMap()(x)
        for _ in range(_BLOCKS):
            y = self.conv(self.activate(x))
            x = keras.layers.Add()([x, self.conv(self.activate(y))])
        x = self.conv(self.activate(x), 3 * square**2)
        x = _PixelShuffle(square)(x)
        # The colours' range, and grey where it knows nothing.
        return keras.layers.Rescaling(255.0, offset=127.5, dtype="float32")(x)

    def enlarge(self, x, side):
        factor = side // x.shape[1]
        if factor == 1:
            return x
        return keras.layers.UpSampling2D(
            factor, data_format="channels_last", interpolation="bilinear"
        )(x)

    def activate(self, x):
        return keras.layers.Activation("gelu")(x)

    def conv(self, x, width=None):
        self.count += 1
        limit = 1 / (3 * math.sqrt(x.shape[-1]))
        seed = derive_seed(self.seed, f"convolution_{self.count}")
        return keras.layers.Conv2D(
            width or self.width,
            3,
            padding="same",
            data_format="channels_last",
            kernel_initializer=SeededUniform(limit, seed),
        )(x)


@keras.saving.register_keras_serializable(package="keras_rlr")
class _UsualMap(keras.layers.Layer):
    """Adds a learned value for every place and channel, 0 at first."""

    def build(self, shape):
        self.values = self.add_weight(
            name="values", shape=shape[1:], initializer="zeros"
        )

    def call(self, x):
        return x + self.values

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable(package="keras_rlr")
class _PixelShuffle(keras.layers.Layer):
    """(batch, h, w, f²·c) to (batch, h·f, w·f, c)."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        _, height, width, channels = x.shape
        factor, kept = self.factor, channels // self.factor**2
        x = ops.reshape(x, (-1, height, width, factor, factor, kept))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height * factor, width * factor, kept))

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        factor = self.factor
        return batch, height * factor, width * factor, channels // factor**2
