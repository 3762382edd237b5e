"""Puts anomalies into normal images, each a pure function of the image's noise key."""

import numpy as np

from keras_rlr.image_size import height_and_width
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.images import to_array, to_resized_rgb
from keras_rlr.inputs.training_batches import TrainingBatches
from keras_rlr.methods.draem.perlin import perlin_mask
from keras_rlr.methods.draem.textures import paint_texture

_ANOMALOUS = 0.5
_CHANGES_EACH = 3


class AnomalyPainter:
    """Covers parts of images by something that does not belong there.

    Half of the images stay as they are. In the others, with a texture A, a mask M of
    Perlin noise and an opacity β, an image I becomes (1 - β)·I + β·A within M.

    Args:
        seed: Of everything drawn.
        opacity: (lowest, highest) β.
        textures: `ImageSource` of images to take A from, or None to paint it.
    """

    def __init__(self, seed, opacity=(0.1, 1.0), textures=None):
        self.seed = seed
        self.opacity = opacity
        self.textures = textures

    def __call__(self, images, keys):
        """Returns images with anomalies, and where they are.

        Args:
            images: float32 array (batch, height, width, 3) in 0-255.
            keys: int32 array (batch, 2).

        Returns:
            float32 arrays (batch, height, width, 3) and (batch, height, width), 1 in
            anomalies.
        """
        pairs = [self.alter(*pair) for pair in zip(images, keys, strict=True)]
        altered, masks = zip(*pairs, strict=True)
        return np.stack(altered), np.stack(masks)

    def alter(self, image, key):
        """Returns one image and its mask; see `__call__`."""
        parts = [self.seed, *np.asarray(key).view("uint32").tolist()]
        generator = np.random.Generator(np.random.Philox(parts))
        size = image.shape[:2]
        if generator.random() >= _ANOMALOUS:
            return image, np.zeros(size, "float32")
        mask = perlin_mask(size, generator).astype("float32")
        opacity = np.float32(generator.uniform(*self.opacity))
        texture = self._texture(size, generator)
        return image + (opacity * mask)[..., None] * (texture - image), mask

    def _texture(self, size, generator):
        if self.textures is None:
            return paint_texture(size, generator)
        position = int(generator.integers(len(self.textures.data)))
        (((given),),) = self.textures.pick([position])
        name = f"image {position} of the anomaly source"
        texture = to_resized_rgb(to_array(given["image"]), size, name)
        return changed(np.array(texture, "float32"), generator)


def changed(texture, generator):
    """Returns a texture after three changes of colours or position drawn from nine.

    Args:
        texture: float32 array (height, width, 3) in 0-255.
        generator: `numpy.random.Generator`.
    """
    for i in generator.choice(len(_CHANGES), _CHANGES_EACH, replace=False):
        texture = _CHANGES[i](texture, generator)
    return np.ascontiguousarray(np.clip(texture, 0.0, 255.0), "float32")


def _stretch(texture, generator):
    low, high = texture.min(), texture.max()
    return (texture - low) * (255.0 / max(high - low, 1.0))


def _equalize(texture, generator):
    values = np.rint(texture).clip(0, 255).astype(int)
    share = np.cumsum(np.bincount(values.ravel(), minlength=256)) / values.size
    return 255.0 * share[values]


def _solarize(texture, generator):
    return np.where(texture < generator.uniform(32, 128), texture, 255.0 - texture)


def _posterize(texture, generator):
    step = 2.0 ** generator.integers(3, 7)
    return np.floor(texture / step) * step


def _turn(texture, generator):
    turns = generator.integers(4)
    if texture.shape[0] != texture.shape[1]:
        turns -= turns % 2  # A quarter turn would not fit.
    turned = np.rot90(texture, turns)
    return turned[:, ::-1] if generator.random() < 0.5 else turned


_CHANGES = (
    _stretch,
    _equalize,
    _solarize,
    _posterize,
    _turn,
    lambda texture, draw: 255.0 * (texture / 255.0) ** draw.uniform(0.5, 2.0),
    lambda texture, draw: texture * draw.uniform(0.8, 1.2) + draw.uniform(-30, 30),
    lambda texture, draw: texture[..., draw.permutation(3)],
    lambda texture, draw: 255.0 - texture,
)


class AlteredBatches(TrainingBatches):
    """`TrainingBatches` with "altered", the images with anomalies, and "mask".

    Args:
        *args: See `TrainingBatches`.
        painter: `AnomalyPainter`.
        **kwargs: See `TrainingBatches`.
    """

    def __init__(self, *args, painter, **kwargs):
        super().__init__(*args, **kwargs)
        self.painter = painter

    def _batch(self, inputs, count, step, whole):
        batch = super()._batch(inputs, count, step, whole)
        altered, masks = self.painter(batch["image"], batch["noise_key"])
        return {**batch, "altered": altered, "mask": masks}

    def _input_signature(self):
        size = height_and_width(self.image_size)
        return {
            **super()._input_signature(),
            "altered": ((None, *size, 3), "float32"),
            "mask": ((None, *size), "float32"),
        }


def texture_source(images):
    """Returns images, any data with a length and an index, for `AnomalyPainter`.

    Raises:
        ValueError: If it has none.
    """
    source = ImageSource(images, 1)
    if not source.is_indexed or not len(source.data):
        raise ValueError(
            "Anomalies are drawn from images with a length and an index: an array, a "
            "list, or `FolderDataset` and the like, of one image at least. Received "
            f"{type(images).__name__}."
        )
    return source
