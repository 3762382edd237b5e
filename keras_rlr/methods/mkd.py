import math
from typing import ClassVar

import keras
from keras import ops

from keras_rlr.checked_numbers import MOST_CHANNELS, finite_number, whole_number
from keras_rlr.detectors.feature_detector import FeatureDetector, mean_features
from keras_rlr.detectors.pixel_thresholds import PixelThresholds
from keras_rlr.detectors.recipe import Recipe, named_recipe
from keras_rlr.layers.anomaly_map import upsample_map
from keras_rlr.layers.anomaly_score import AnomalyScore
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.initializers import SeededNormal, derive_seed
from keras_rlr.layers.input_gradient import value_and_input_gradient
from keras_rlr.losses import cosine_similarity

_LOCALIZATIONS = ("gradient", "error")
PAPER = Recipe("paper", epochs=500, batch_size=64, learning_rate=1e-3)
# Ours, and not measured: minutes where the paper's takes days.
_STANDARDIZED = Recipe(
    "default", steps=1500, epochs=15, batch_size=8, learning_rate=1e-3
)
# Convolutions of VGG-16 between two halvings of the grid; the last number goes on.
_CONVOLUTIONS = (2, 2, 3, 3, 3)


@keras.saving.register_keras_serializable(package="keras_rlr")
class MKD(FeatureDetector):
    """Finds defects by where a small student disagrees with a pretrained teacher.

    The teacher is the frozen backbone; the student, a small network that begins with
    random weights, sees the same image and learns on normal images to give the
    teacher's feature maps at several levels. It never learns what they are for others.
    With teacher F and student G at level l, the loss of an image is

        sum over l of  mean((F_l - G_l)²) + λ_l · (1 - cos(F_l, G_l))

    where the cosine is that of whole maps, as one vector each. It is the image's score
    too. The map is the gradient of the loss with respect to the image: absolute, summed
    over the colours, smoothed and opened. Source: "Multiresolution Knowledge
    Distillation for Anomaly Detection", CVPR 2021, section 3.

    Departures from the paper and its published implementation:

    | published | here | why |
    |---|---|---|
    | one model a category | one for all categories | the package's subject |
    | teacher VGG-16, four levels of strides 4 to 32 | any backbone, `levels` | the same features for all methods |
    | features as they are | averaged over 3x3 tokens; `standardize_features` | as all methods of the package |
    | λ from the loss terms of the untrained network | λ_l = `cosine_weight` times the mean square of the teacher's features | the same rule, without an untrained pass |
    | student VGG of 16 channels, max pooling, ReLU at the end of a level | the same widths, average pooling, no ReLU there | a smooth gradient; the teacher's values may be negative |
    | 500 epochs in batches of 64 | the same; where features are standardised 1500 steps of 8 | minutes instead of days |
    | in the code the score of three of the four levels | of all that are learned | one loss for both |
    | in the code each gradient scaled to 0-1 by its own least value and 99th percentile | times the number of pixels | maps of images can be compared, and a normal one need not reach 1 |
    | opening by an ellipse, in the code of 3x3 pixels at each threshold | by the same, of the map | the same result |

    Args:
        backbone: The teacher; see `RLR`.
        backbone_weights: `"imagenet"`, the path of a weights file, or None for
            random weights without a download.
        levels: Feature levels that the student learns, fine to coarse, by default 1, 2
            and 3; of a vision transformer see `RLR`.
        image_size: What images are resized to: the side of a square, or (height,
            width), in pixels.
        student_width: Channels of the student's convolutions, but for those that give
            a level.
        cosine_weight: λ as a multiple of the features' mean square; 1, the paper's,
            makes both terms alike before training.
        localization: What the map is: `"gradient"`, the paper's, or `"error"`: the
            mean square of each token, the mean over levels, without a second pass
            through both networks. Formats that hold no gradient are exported with
            `"error"`, which they say.
        sigma: Deviation of the Gaussian that smooths the gradient, in pixels.
        standardize_features: Whether each channel is brought to mean 0 and variance
            1 over the training images.
        distribution: None, a number of devices, an object of `keras.distribution`
            (JAX) or a `tf.distribute.Strategy` (TensorFlow).
        seed: Seed of initial values and order of the data; None draws one.
        recipe: `"default"` or `"paper"`: length and batch size; the default is the
            paper's where features are raw.
        bit_depth: Bits that a value of uint16 images has; None is 16.
        **kwargs: `tiles`, `overlap`, `tiles_aligned` and `region_of_interest`: see
            `keras_rlr.detectors.detector_model`; `name` and `dtype`, as in Keras.

    Call arguments:
        inputs: Images, tensor (batch, height, width, channels), uint8, uint16 or
            float in 0-255.
        training: Whether to return the loss of each image alone.

    Returns:
        Dict of float32 tensors: `"anomaly_map"` (batch, height, width) and
        `"anomaly_score"` (batch,).

    Raises:
        ValueError: If a setting is not possible; the message says what would be.
        ConnectionError: If the backbone's weights can't be downloaded.

    Example:

    >>> model = keras_rlr.MKD.from_preset("mkd_efficientnet_lite2", seed=0)
    >>> images = np.random.randint(0, 256, (8, 256, 256, 3), "uint8")
    >>> history = model.fit(images, epochs=1, verbose=0)
    >>> model.predict(images, verbose=0)["anomaly_map"].shape
    (8, 256, 256)
    """  # noqa: E501

    # The student looks at images, so the backbone has to run with it.
    profits_from_cache = False
    PRESETS: ClassVar = {
        "mkd_efficientnet_b6": {"backbone": "efficientnet_b6"},
        "mkd_efficientnet_lite2": {
            "backbone": "efficientnet_lite2",
            "standardize_features": True,
        },
    }

    def __init__(
        self,
        backbone="efficientnet_b6",
        backbone_weights="imagenet",
        levels=None,
        image_size=256,
        student_width=16,
        cosine_weight=1.0,
        localization="gradient",
        sigma=4.0,
        standardize_features=False,
        distribution=None,
        seed=None,
        recipe="default",
        bit_depth=None,
        **kwargs,
    ):
        if localization not in _LOCALIZATIONS:
            raise ValueError(
                "`localization` must be 'gradient' or 'error'. Received: "
                f"{localization!r}."
            )
        # Raw features, of very unlike sizes, take the paper's time.
        default = _STANDARDIZED if standardize_features else PAPER
        super().__init__(
            backbone=backbone,
            backbone_weights=backbone_weights,
            levels=levels,
            image_size=image_size,
            standardize_features=standardize_features,
            distribution=distribution,
            seed=seed,
            recipe=named_recipe(recipe, default, PAPER),
            bit_depth=bit_depth,
            **kwargs,
        )
        self._recipe_argument = recipe
        self.student_width = whole_number(
            "student_width", student_width, 1, MOST_CHANNELS
        )
        self.cosine_weight = finite_number("cosine_weight", cosine_weight, 0)
        self.localization = localization
        with self.scope():
            self.student = _student(
                self.image_shape,
                self.feature_shapes,
                self.student_width,
                derive_seed(self.seed, "student"),
                self.dtype_policy,
            )
            self.smoothing = AnomalyScore(sigma, name="smoothing")
            self.smoothing.build((None, *self.image_shape))
        self.compile()

    @property
    def uses_statistics(self):
        """Whether anything depends on the moments of the features: λ does."""
        return True

    def training_batches(self, source, feature_cache, steps_per_epoch, **order):
        """Returns batches of images, which the student looks at itself."""
        if feature_cache is not None:
            raise ValueError(
                "The student of MKD looks at the images themselves, and a cache holds "
                "the teacher's features alone. Train without `feature_cache`."
            )
        return super().training_batches(source, None, steps_per_epoch, **order)

    def outputs_of(self, inputs, training=False):
        """Returns map and score; in training the loss of each image."""
        batch = inputs if isinstance(inputs, dict) else {"image": inputs}
        pixels = self.preprocessor(batch["image"])
        if training:
            return {"loss": self.losses_of(*self.compared_maps(pixels))}
        if self.localization == "gradient":
            losses, gradient, described = value_and_input_gradient(
                self._losses_and_features, pixels, has_aux=True
            )
            anomaly_map = self.gradient_map(gradient)
        else:
            teacher, student = self.compared_maps(pixels)
            losses = self.losses_of(teacher, student)
            anomaly_map = self.error_map(teacher, student)
            described = mean_features(teacher)
        outputs = {"anomaly_map": anomaly_map, "anomaly_score": losses}
        if "weight" in batch:
            outputs["loss"] = losses
        if "describe" in batch:
            outputs["image_features"] = described
        return outputs

    def _losses_and_features(self, pixels):
        teacher, student = self.compared_maps(pixels)
        return self.losses_of(teacher, student), mean_features(teacher)

    def compared_maps(self, pixels):
        """Returns the maps of the teacher and those of the student, two lists.

        Args:
            pixels: Images as the preprocessor returns them.
        """
        teacher = self.feature_extractor(pixels, preprocessed=True)
        student = self.student(pixels)
        student = student if isinstance(student, (list, tuple)) else [student]
        return self.standardize(teacher), [ops.cast(m, "float32") for m in student]

    def losses_of(self, teacher, student):
        """Returns the loss of each image, (batch,).

        Args:
            teacher: List of float32 tensors (batch, H, W, C), one a level.
            student: List of tensors of the same shapes.
        """
        total = 0.0
        for f, g, layer in zip(teacher, student, self.standardizations, strict=True):
            square = ops.mean(ops.square(f - g), axis=(1, 2, 3))
            size = math.prod(f.shape[1:])
            cosine = cosine_similarity(
                ops.reshape(f, (-1, size)), ops.reshape(g, (-1, size))
            )
            norm = layer.mean_squared_norm(self.standardize_features)
            weight = ops.cast(norm, "float32") * (self.cosine_weight / f.shape[-1])
            total = total + square + weight * (1.0 - cosine)
        return total

    def gradient_map(self, gradient):
        """Returns the map of a gradient (batch, S, S, 3): smoothed, then opened."""
        slope = ops.sum(ops.abs(ops.cast(gradient, "float32")), axis=-1)
        return _opened(
            self.smoothing.smooth(slope * float(math.prod(self.image_shape)))
        )

    def error_map(self, teacher, student):
        """Returns the mean square of the tokens, at the image's size."""
        maps = [
            upsample_map(ops.mean(ops.square(f - g), -1), self.image_shape)
            for f, g in zip(teacher, student, strict=True)
        ]
        return sum(maps[1:], maps[0]) / len(maps)

    def exportable(self, format):
        """Returns a copy that maps errors, for formats that hold no gradient."""
        model, departures = super().exportable(format)
        if format == "saved_model" or self.localization == "error":
            return model, departures
        other = model._copy({**model.get_config(), "localization": "error"})
        # The model's are of its own map, in other units.
        other.thresholds.pixels = PixelThresholds()
        scores = "Scores and decisions are the same."
        if other.region_of_interest is not None:
            scores = (
                "A region of interest brings scores down as much as this map's peak, "
                "so where the peak lies outside of it they differ from the model's, "
                "and decisions may."
            )
        return other, [
            *departures,
            f"A file of the format {format!r} holds no gradient, by which MKD "
            "localises: `anomaly_map` in the export is the error of each token "
            "(localization='error'), not the map of the model, and has no pixel "
            f"threshold. {scores} Format 'saved_model' holds the gradient.",
        ]

    def get_config(self):
        """Returns the constructor's arguments; of the backbone no weights."""
        return {
            **super().get_config(),
            "student_width": self.student_width,
            "cosine_weight": self.cosine_weight,
            "localization": self.localization,
            "sigma": self.smoothing.sigma,
            "recipe": self._recipe_argument,
        }


def _student(image_shape, shapes, width, seed, dtype):
    """A network from images to maps of `shapes`, VGG-16 in small.

    The grid is halved between stages. A level is the last convolution of the stage
    whose grid is nearest to the level's; what follows sees it through a ReLU.
    """

    def convolution(x, channels, name, **options):
        deviation = math.sqrt(2.0 / (9 * x.shape[-1]))
        return keras.layers.Conv2D(
            channels,
            3,
            padding="same",
            data_format="channels_last",
            kernel_initializer=SeededNormal(deviation, derive_seed(seed, name)),
            dtype=dtype,
            name=name,
            **options,
        )(x)

    stages = [max(0, round(math.log2(image_shape[0] / shape[0]))) for shape in shapes]
    image = keras.Input((*image_shape, 3), name="pixels")
    x, maps = image, [None] * len(shapes)
    for stage in range(max(stages) + 1):
        if stage:
            x = keras.layers.AveragePooling2D(
                2, data_format="channels_last", dtype=dtype
            )(x)
        levels = [i for i, own in enumerate(stages) if own == stage]
        count = _CONVOLUTIONS[min(stage, len(_CONVOLUTIONS) - 1)]
        for i in range(count - bool(levels)):
            x = convolution(x, width, f"stage_{stage}_{i}", activation="relu")
        for i in levels:
            height, wide, channels = shapes[i]
            x = maps[i] = convolution(x, channels, f"level_{i}")
            if tuple(x.shape[1:3]) != (height, wide):
                maps[i] = FusedLevels((height, wide), dtype=dtype)([x])
            x = keras.layers.ReLU(dtype=dtype)(x)
    return keras.Model(image, maps, name="student")


def _opened(anomaly_map):
    """Grey opening by a disk of radius 1: bright spots smaller than it are taken away.

    Pixels outside of the map repeat its border.
    """
    return _highest(-_highest(-anomaly_map))


def _highest(anomaly_map):
    """The highest value of each pixel and its four neighbours."""
    padded = ops.pad(anomaly_map, ((0, 0), (1, 1), (1, 1)), mode="symmetric")
    rows = ops.maximum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    columns = ops.maximum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return ops.maximum(anomaly_map, ops.maximum(rows, columns))
