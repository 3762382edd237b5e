"""The two networks of DRAEM, with the depths and widths of the published ones."""

import keras

from keras_rlr.layers.initializers import SeededNormal, derive_seed

# Widths of the encoders, and of (enlarged, first, second convolution) of the decoders.
_REBUILDING = (1, 2, 4, 8, 8), ((8, 8, 4), (4, 4, 2), (2, 2, 1), (1, 1, 1))
_MARKING = (
    (1, 2, 4, 8, 8, 8),
    ((8, 8, 8), (4, 4, 4), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
)
# An image's side is halved so often.
HALVINGS = 5
# Whatever keras.json says.
_FORMAT = "channels_last"


class _Builder:
    """Makes layers, each with its own seed and name."""

    def __init__(self, width, seed, dtype):
        self.width = width
        self.seed = seed
        self.dtype = dtype
        self.count = 0

    def convolve(self, x, channels, **options):
        self.count += 1
        name = f"convolution_{self.count}"
        initializer = SeededNormal(0.02, derive_seed(self.seed, name))
        return keras.layers.Conv2D(
            channels,
            3,
            padding="same",
            data_format=_FORMAT,
            kernel_initializer=initializer,
            name=name,
            **{"dtype": self.dtype, **options},
        )(x)

    def unit(self, x, factor):
        """Convolution, batch normalisation, ReLU."""
        x = self.convolve(x, factor * self.width, use_bias=False)
        x = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype=self.dtype, name=f"norm_{self.count}"
        )(x)
        return keras.layers.ReLU(dtype=self.dtype)(x)

    def network(self, shape, outputs, factors, has_skips, name):
        image = keras.Input(shape, name="images")
        x, skips = image, []
        for i, factor in enumerate(factors[0]):
            if i:
                x = keras.layers.MaxPooling2D(data_format=_FORMAT, dtype=self.dtype)(x)
            x = self.unit(self.unit(x, factor), factor)
            skips.append(x)
        for (enlarged, *rest), skip in zip(factors[1], skips[-2::-1], strict=True):
            x = keras.layers.UpSampling2D(
                data_format=_FORMAT, interpolation="bilinear", dtype=self.dtype
            )(x)
            x = self.unit(x, enlarged)
            if has_skips:
                x = keras.layers.Concatenate(dtype=self.dtype)([x, skip])
            for factor in rest:
                x = self.unit(x, factor)
        return keras.Model(image, self.convolve(x, outputs, dtype="float32"), name=name)


def rebuilding_network(image_shape, width, seed, dtype):
    """From images with anomalies to what they were without, (H, W, 3) to (H, W, 3).

    An autoencoder of four halvings and no skips.

    Args:
        image_shape: (height, width).
        width: Channels at full size; eight times as many at the bottom.
        seed: Of the initial values.
        dtype: Dtype policy; the output is float32.
    """
    builder = _Builder(width, seed, dtype)
    shape = (*image_shape, 3)
    return builder.network(shape, 3, _REBUILDING, False, "rebuilding_network")


def marking_network(image_shape, width, seed, dtype):
    """From image and rebuilt image (H, W, 6) to logits of each pixel (H, W, 2).

    A U-Net of five halvings.

    Args:
        image_shape: (height, width).
        width: Channels at full size; eight times as many at the bottom.
        seed: Of the initial values.
        dtype: Dtype policy; the output is float32.
    """
    builder = _Builder(width, seed, dtype)
    shape = (*image_shape, 6)
    return builder.network(shape, 2, _MARKING, True, "marking_network")
