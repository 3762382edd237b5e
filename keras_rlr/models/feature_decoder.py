import math

import keras
from keras import ops

from keras_rlr.layers.initializers import SeededUniform, derive_seed, resolve_seed


@keras.saving.register_keras_serializable(package="keras_rlr")
class FeatureDecoder(keras.Model):
    """Turns the features of an `RLR` model back into pictures.

    Trained on normal images, it shows what a reconstruction looks like: given rebuilt
    features, a picture of the image without its defects. It is for looking at, and
    has no part in scores.

    The coarsest features go through residual convolutions and are enlarged by two,
    again and again; finer levels join in at their size. The last enlargement, by four
    or so, puts channels side by side as pixels. The paper's decoder (a ResNet with
    batch normalisation, authors' implementation) does the same with more layers.

    Args:
        feature_shapes: (height, width, channels) of each level, fine to coarse, as
            `RLR.extract_features` gives them.
        image_size: Side of the pictures; a multiple of every grid's side.
        width: Channels at the coarsest level; they halve with every enlargement.
        seed: Seed of the initial values; None draws one.
        model: Fingerprint of the `RLR` model whose features it was trained on, see
            `features_fingerprint`.

    Call arguments:
        features: List of tensors (batch, height, width, channels).

    Returns:
        float32 tensor (batch, image_size, image_size, 3), RGB around 0-255.

    Raises:
        ValueError: If the image size is no multiple of a grid's side, grids are not
            each twice as fine as the next, or no level is given.

    Example:

    >>> decoder = keras_rlr.FeatureDecoder([(16, 16, 120)], image_size=256, width=32)
    >>> decoder([np.zeros((1, 16, 16, 120), "float32")]).shape
    (1, 256, 256, 3)
    """

    def __init__(
        self, feature_shapes, image_size, width=192, seed=None, model="", **kwargs
    ):
        feature_shapes = tuple(tuple(map(int, shape)) for shape in feature_shapes)
        _check(feature_shapes, image_size)
        seed = resolve_seed(seed)
        inputs = [keras.Input(shape) for shape in feature_shapes]
        outputs = _Layers(seed).build(inputs, image_size, width)
        super().__init__(inputs, outputs, **kwargs)
        self.feature_shapes = feature_shapes
        self.image_size = int(image_size)
        self.width = int(width)
        self.seed = seed
        self.model = model
        self.compile(keras.optimizers.Adam(1e-3, name="adam"), "mean_squared_error")

    def decode(self, features, batch_size=16):
        """Returns pictures of features.

        Args:
            features: List of arrays (images, height, width, channels), one a level,
                as from `RLR.extract_features` or `RLR.reconstruct`.
            batch_size: Images at a time.

        Returns:
            float32 array (images, image_size, image_size, 3) in 0-255.
        """
        shapes = [tuple(part.shape[1:]) for part in features]
        if shapes != list(self.feature_shapes):
            raise ValueError(
                f"The decoder was made for features of the shapes "
                f"{list(self.feature_shapes)} after the first axis. Received: {shapes}."
            )
        pictures = self.predict(features, batch_size=batch_size, verbose=0)
        return pictures.clip(0.0, 255.0)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "feature_shapes": self.feature_shapes,
            "image_size": self.image_size,
            "width": self.width,
            "seed": self.seed,
            "model": self.model,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        """Builds the decoder of a configuration."""
        return cls(**config)


def _check(feature_shapes, image_size):
    if not feature_shapes:
        raise ValueError("A decoder needs the shape of at least one level.")
    smallest = min(shape[0] for shape in feature_shapes)
    for height, width, _ in feature_shapes:
        if height % smallest or (height // smallest).bit_count() != 1:
            raise ValueError(
                "A decoder needs grids each twice as fine as the next. Received sides "
                f"{[shape[0] for shape in feature_shapes]}."
            )
        if height != width or image_size % height:
            raise ValueError(
                "A decoder needs square grids whose side divides the image's. Received "
                f"a grid of {height}x{width} and images of {image_size}."
            )


class _Layers:
    """Makes the layers, each with its own seed."""

    def __init__(self, seed):
        self.seed = seed
        self.count = 0

    def build(self, inputs, image_size, width):
        joined = {feature.shape[1]: feature for feature in inputs}
        side = min(joined)
        x = self.conv(joined.pop(side), width, 3)
        x = self.residual(self.residual(x))
        while joined or side * 8 <= image_size:
            side, width = 2 * side, max(width // 2, 16)
            x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
            x = self.conv(x, width, 3)
            if side in joined:
                x = keras.layers.Add()([x, self.conv(joined.pop(side), width, 3)])
            x = self.residual(x)
        factor = image_size // side
        x = self.conv(self.activate(x), 3 * factor**2, 3)
        x = _PixelShuffle(factor)(x)
        # Grey where it knows nothing.
        return keras.layers.Rescaling(127.5, offset=127.5, dtype="float32")(x)

    def residual(self, x):
        width = x.shape[-1]
        y = self.conv(self.activate(x), width, 3)
        return keras.layers.Add()([x, self.conv(self.activate(y), width, 3)])

    def activate(self, x):
        x = keras.layers.GroupNormalization(groups=math.gcd(8, x.shape[-1]))(x)
        return keras.layers.Activation("gelu")(x)

    def conv(self, x, width, size):
        self.count += 1
        limit = math.sqrt(3.0 / (size**2 * x.shape[-1]))
        seed = derive_seed(self.seed, f"convolution_{self.count}")
        return keras.layers.Conv2D(
            width, size, padding="same", kernel_initializer=SeededUniform(limit, seed)
        )(x)


@keras.saving.register_keras_serializable(package="keras_rlr")
class _PixelShuffle(keras.layers.Layer):
    """(batch, h, w, c·f²) to (batch, h·f, w·f, c)."""

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
