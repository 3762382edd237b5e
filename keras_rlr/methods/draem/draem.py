import warnings
from typing import ClassVar

import keras
from keras import ops

from keras_rlr.checked_numbers import MOST_CHANNELS, finite_number, whole_number
from keras_rlr.detectors.anomaly_detector import AnomalyDetector
from keras_rlr.detectors.preprocessor import Preprocessor
from keras_rlr.detectors.recipe import Recipe, named_recipe
from keras_rlr.image_size import checked_image_size, height_and_width
from keras_rlr.layers.initializers import derive_seed
from keras_rlr.methods.draem.anomalies import (
    AlteredBatches,
    AnomalyPainter,
    texture_source,
)
from keras_rlr.methods.draem.losses import (
    focal_loss,
    structural_dissimilarity,
    window_sum,
)
from keras_rlr.methods.draem.networks import (
    HALVINGS,
    marking_network,
    rebuilding_network,
)
from keras_rlr.processes import average_gradients

PAINTED = "painted"
_POOL = 21
_PAPER = Recipe(
    "paper",
    epochs=700,
    batch_size=8,
    learning_rate=1e-4,
    drops=(0.8, 0.9),
    drop_factor=0.2,
)
# Ours, for narrow networks, and not measured: hours where the paper's takes days.
_SHORT = Recipe(
    "default",
    steps=3000,
    epochs=20,
    batch_size=8,
    learning_rate=1e-3,
    drops=(0.8, 0.9),
    drop_factor=0.2,
)
_PUBLISHED_WIDTH = 128


@keras.saving.register_keras_serializable(package="keras_rlr")
class DRAEM(AnomalyDetector):
    """Learns to take anomalies out of images that were put into them, and to mark them.

    In training, half of the images get a texture that does not belong there, within a
    mask of Perlin noise. One network rebuilds the image as it was; another sees both,
    and says of each pixel how likely it is anomalous: the map. There is no pretrained
    network. With the image I, what was rebuilt I_r, the mask M and its estimate M_o,
    all in 0-1, the loss of an image is

        mean((I - I_r)²) + (1 - SSIM(I, I_r)) + focal loss(M, M_o)

    The score of an image is the largest mean of 21x21 pixels of its map. Source: "DRAEM
    - A discriminatively trained reconstruction embedding for surface anomaly
    detection", ICCV 2021, section 3.

    Departures from the paper and its published implementation:

    | published | here | why |
    |---|---|---|
    | one model a category | one for all categories | the package's subject |
    | anomalies from the textures of DTD | textures that the package paints, unless images are given | DTD can't be shipped; `anomaly_source` says which |
    | three of ten changes by imgaug to each texture | three of nine, our own, to given ones | no dependency; painted ones differ anyhow |
    | some images are turned by up to 90° | they are not | a part's orientation may matter; give turned images where it does not |
    | opacity of the textures 0.1 to 1 in the paper, 0.2 to 1 in the code | the paper's | `opacity` sets it |
    | focal loss of probabilities moved by 1e-5 | of logits | exact where p is small |
    | the mask's noise turned, empty corners | its lattice turned | no empty corners |
    | bilinear enlargement with aligned corners | with half-pixel centres | the layer that Keras has and all formats hold |
    | biases before batch normalisation, its factors drawn around 1 | none, and 1 | the same functions |
    | widths 128 and 64 | the same; `draem_small` has 16 and 16, 3000 steps at 1e-3 | trained on a CPU |

    Batch normalisation takes the moments of the images of a batch together: on
    TensorFlow and PyTorch each device those of its own part, on JAX those of the whole
    batch, with places that were filled up. With several devices results depend on their
    number.

    Args:
        image_size: What images are resized to: the side of a square, or (height,
            width), in pixels; multiples of 32.
        reconstruction_width: Channels of the rebuilding network at full size; at the
            bottom it has eight times as many.
        segmentation_width: The same of the marking network.
        opacity: (lowest, highest) opacity of the textures.
        anomaly_source: What the textures are: `"painted"`, by the package, or the name
            that `take_anomalies_from` was given. Saved with the model and in the
            manifest of its exports.
        distribution: None, a number of devices, an object of `keras.distribution`
            (JAX) or a `tf.distribute.Strategy` (TensorFlow).
        seed: Seed of initial values, order of the data and anomalies; None draws one.
        recipe: `"default"` or `"paper"`: length and learning rate; the default is the
            paper's from its width on.
        bit_depth: Bits that a value of uint16 images has; None is 16.
        **kwargs: `tiles`, `overlap`, `tiles_aligned` and `region_of_interest`: see
            `keras_rlr.detectors.detector_model`; `name` and `dtype`, as in Keras.

    Call arguments:
        inputs: Images, tensor (batch, height, width, channels), uint8, uint16 or
            float in 0-255.
        training: Whether to return the loss of each image alone.

    Returns:
        Dict of float32 tensors: `"anomaly_map"` (batch, height, width) in 0-1
        and `"anomaly_score"` (batch,).

    Raises:
        ValueError: If a setting is not possible; the message says what would be.

    Example:

    >>> model = keras_rlr.DRAEM.from_preset("draem_small", image_size=64, seed=0)
    >>> images = np.random.randint(0, 256, (8, 64, 64, 3), "uint8")
    >>> history = model.fit(images, epochs=1, verbose=0)
    >>> model.predict(images, verbose=0)["anomaly_map"].shape
    (8, 64, 64)
    """  # noqa: E501

    PRESETS: ClassVar = {
        "draem": {},
        "draem_small": {"reconstruction_width": 16, "segmentation_width": 16},
    }

    def __init__(
        self,
        image_size=256,
        reconstruction_width=128,
        segmentation_width=64,
        opacity=(0.1, 1.0),
        anomaly_source=PAINTED,
        distribution=None,
        seed=None,
        recipe="default",
        bit_depth=None,
        **kwargs,
    ):
        _check_size(image_size)
        width = whole_number(
            "reconstruction_width", reconstruction_width, 1, MOST_CHANNELS
        )
        default = _SHORT if width < _PUBLISHED_WIDTH else _PAPER
        super().__init__(
            image_size=image_size,
            recipe=named_recipe(recipe, default, _PAPER),
            distribution=distribution,
            seed=seed,
            **kwargs,
        )
        self._recipe_argument = recipe
        self.reconstruction_width = width
        self.segmentation_width = whole_number(
            "segmentation_width", segmentation_width, 1, MOST_CHANNELS
        )
        self.opacity = _checked_opacity(opacity)
        self.anomaly_source = str(anomaly_source)
        self._textures = None
        with self.scope():
            self.preprocessor = Preprocessor(
                self.image_size, (0.0,) * 3, (255.0,) * 3, bit_depth
            )
            self.preprocessor.build((None, None, None, 3))
            self.rebuilding = rebuilding_network(
                self.image_shape,
                self.reconstruction_width,
                derive_seed(self.seed, "rebuilding"),
                self.dtype_policy,
            )
            self.marking = marking_network(
                self.image_shape,
                self.segmentation_width,
                derive_seed(self.seed, "marking"),
                self.dtype_policy,
            )
        self.compile()

    @classmethod
    def preset_for(cls, backbone=None):
        """Returns the small preset beside the small backbone, for fair comparisons.

        Args:
            backbone: Name of the backbone that other methods have, or None.
        """
        return "draem_small" if backbone == "efficientnet_lite2" else "draem"

    def take_anomalies_from(self, images, name):
        """Has training take its anomalies from images, of textures for example.

        Args:
            images: Any data with a length and an index: an array, a list, a
                `FolderDataset`. They are read when they are needed.
            name: What they are, for `anomaly_source`: "DTD", or the folder's path.
        """
        textures = texture_source(images)
        if str(name) == PAINTED:
            raise ValueError(
                f"{PAINTED!r} stands for textures that the package paints. Give the "
                "images another name."
            )
        # Untracked: Keras would look for layers in what it holds.
        object.__setattr__(self, "_textures", textures)
        self.anomaly_source = str(name)

    def training_batches(self, source, feature_cache, steps_per_epoch, **order):
        """Returns batches of images, some of which get anomalies."""
        self.refuse_cache(feature_cache)
        if self._textures is None and self.anomaly_source != PAINTED:
            raise ValueError(
                f"The anomalies of this model come from {self.anomaly_source!r}, and a "
                "saved model does not hold those images. Call "
                f"take_anomalies_from(images, {self.anomaly_source!r}) before."
            )
        _announce_own_statistics()
        painter = AnomalyPainter(
            derive_seed(self.seed, "anomalies"), self.opacity, self._textures
        )
        return AlteredBatches(
            source, self.image_size, bit_depth=self.bit_depth, painter=painter, **order
        )

    def outputs_of(self, inputs, training=False):
        """Returns map and score; in training the loss of each image."""
        batch = inputs if isinstance(inputs, dict) else {"image": inputs}
        image = self.preprocessor(batch["image"])
        is_altered = "altered" in batch
        altered = self.preprocessor(batch["altered"]) if is_altered else image
        rebuilt = self.rebuilding(altered, training=training)
        both = ops.concatenate([rebuilt, altered], axis=-1)
        logits = self.marking(both, training=training)
        outputs = {}
        if training or "weight" in batch:
            mask = batch["mask"] if is_altered else ops.zeros_like(logits[..., 0])
            outputs["loss"] = (
                ops.mean(ops.square(image - rebuilt), axis=(1, 2, 3))
                + structural_dissimilarity(image, rebuilt)
                + focal_loss(logits, ops.cast(mask, "float32"))
            )
        if not training:
            outputs["anomaly_map"] = ops.softmax(logits, axis=-1)[..., 1]
            outputs["anomaly_score"] = _score(outputs["anomaly_map"])
        if "describe" in batch:
            outputs["image_features"] = colour_statistics(image)
        return outputs

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "reconstruction_width": self.reconstruction_width,
            "segmentation_width": self.segmentation_width,
            "opacity": self.opacity,
            "anomaly_source": self.anomaly_source,
            "recipe": self._recipe_argument,
        }


def colour_statistics(image):
    """Returns what an image shows as a whole: the colours of sixteen parts of it.

    There is no pretrained network that would tell products better.

    Args:
        image: float32 tensor (batch, height, width, 3) in 0-1.

    Returns:
        float32 tensor (batch, 96): mean and standard deviation of each colour in each
        of 4x4 squares.
    """
    part = (image.shape[1] // 4, image.shape[2] // 4)
    mean, of_squares = (
        ops.average_pool(values, part, part, data_format="channels_last")
        for values in (image, ops.square(image))
    )
    deviation = ops.sqrt(ops.maximum(of_squares - ops.square(mean), 1e-6))
    both = ops.concatenate([mean, deviation], axis=-1)
    return ops.reshape(both, (-1, 96))


def _score(anomaly_map):
    """The largest mean of 21x21 pixels, those outside of the map being 0."""
    means = window_sum(anomaly_map, (1.0 / _POOL,) * _POOL)
    # JAX on a CPU and OpenVINO leave NaN out of a maximum.
    mean = ops.mean(means, axis=(1, 2))
    return ops.where(ops.isnan(mean), mean, ops.max(means, axis=(1, 2)))


def _check_size(image_size):
    step = 2**HALVINGS
    image_size = checked_image_size(image_size)
    sides = height_and_width(image_size)
    if any(side < step or side % step for side in sides):
        lower = [max(step, side // step * step) for side in sides]
        upper = [side + step for side in lower]
        works = " or ".join(str(checked_image_size(size)) for size in (lower, upper))
        raise ValueError(
            f"`image_size` must be a multiple of {step}, as DRAEM halves images "
            f"{HALVINGS} times. Received: {image_size}. Use {works}."
        )


def _checked_opacity(opacity):
    if isinstance(opacity, list | tuple) and len(opacity) == 2:
        lowest, highest = (finite_number("opacity", each, 0, 1) for each in opacity)
        if lowest <= highest:
            return lowest, highest
    raise ValueError(
        f"`opacity` must be (lowest, highest), both from 0 to 1. Received: {opacity!r}."
    )


def _announce_own_statistics():
    if average_gradients():
        warnings.warn(
            "DRAEM's batch normalisation takes each process's part of a batch by "
            "itself on PyTorch, so the losses differ from those of one process. JAX "
            "takes whole batches.",
            stacklevel=4,
        )
