import math
from typing import Any, ClassVar

import keras
from keras import ops

from keras_rlr.checked_numbers import MOST_CHANNELS, finite_number, whole_number
from keras_rlr.detectors.feature_detector import FeatureDetector, mean_features
from keras_rlr.detectors.recipe import Recipe, named_recipe
from keras_rlr.layers.anomaly_map import upsample_map
from keras_rlr.layers.anomaly_score import AnomalyScore
from keras_rlr.layers.counter_noise import counter_normal
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.initializers import SeededNormal, SeededUniform, derive_seed
from keras_rlr.layers.weighted_batch_normalization import WeightedBatchNormalization

PAPER = Recipe("paper", epochs=160, batch_size=4, learning_rate=2e-4, weight_decay=1e-5)
_STANDARDIZED = Recipe(
    "default",
    steps=1500,
    epochs=15,
    batch_size=4,
    learning_rate=2e-4,
    weight_decay=1e-5,
)


@keras.saving.register_keras_serializable(package="keras_rlr")
class SimpleNet(FeatureDetector):
    """Tells features of normal images from the same features with noise.

    Levels are brought to the finest grid, one behind the other, and each token goes
    through an adaptor, a linear layer. A discriminator (linear, batch normalization,
    LeakyReLU 0.2, linear to one number) is taught to say at least `margin` for the
    tokens of normal images, and at most -`margin` for the same tokens with Gaussian
    noise:

        loss = mean over tokens of max(0, m - D(q)) + max(0, m + D(q + n))

    The anomaly of a place is -D(q), so normal images have maps and scores below 0.
    Source: "SimpleNet: A Simple Network for Image Anomaly Detection and
    Localization", CVPR 2023, equations 3 to 6.

    Departures, published -> here:

    - WideResNet-50, levels 2 and 3, 288 pixels -> any backbone, 256 pixels: one set of
      features for all methods.
    - 3x3 patches, pooled with their channels to 1536 numbers -> mean of 3x3 tokens, all
      channels: there is no number of channels to choose.
    - Noise N(0, 0.015²) -> 0.3 times the features' standard deviation over the training
      images: the features of other backbones have other scales. 0.015 times it can't be
      told from none in the 168 channels of EfficientNet-Lite2: the loss stays at 1.
    - Adaptor AdamW 1e-4 (paper: Adam), discriminator Adam 2e-4 with decay 1e-5 -> one
      AdamW 2e-4 with decay 1e-5: Keras trains a model with one optimizer.
    - Moments of the batch on one device -> of the images that are no padding, on all
      devices; their averages are of the population's variance, not the sample's.
    - Image score: largest -D of a token -> largest value of the map smoothed with a
      Gaussian of 4 pixels, as of all methods here. The map itself is not smoothed; it
      is upsampled with aligned corners.
    - The best epoch of the test set -> the last epoch.

    Args:
        backbone: As of `RLR`.
        backbone_weights: As of `RLR`.
        levels: Feature levels, fine to coarse, by default 2 and 3; see `RLR`.
        image_size: What images are resized to: the side of a square, or (height,
            width), in pixels.
        hidden_dim: Width of the discriminator.
        noise_std: Standard deviation of the noise, as a share of the features' own.
        margin: What the discriminator is to say of normal tokens at least.
        standardize_features: Whether each channel is brought to mean 0 and variance
            1 over the training images. Ours, not the paper's.
        distribution: As of `RLR`.
        seed: Seed of initial values, order of the data and noise; None draws one.
        recipe: `"default"` or `"paper"`: length, batch size and learning rate.
        bit_depth: As of `RLR`.
        **kwargs: `tiles`, `overlap`, `tiles_aligned` and `region_of_interest`: see
            `keras_rlr.detectors.detector_model`; `name` and `dtype`, as in Keras.

    Call arguments:
        inputs: Images, tensor (batch, height, width, channels), uint8, uint16 or
            float in 0-255.
        training: Whether the output is the loss of each image.

    Returns:
        Dict of float32 tensors: `"anomaly_map"` (batch, height, width) and
        `"anomaly_score"` (batch,).

    Raises:
        ValueError: If a setting is not possible; the message says what would be.
        ConnectionError: If the backbone's weights can't be downloaded.

    Example:

    >>> model = keras_rlr.SimpleNet.from_preset("simplenet_efficientnet_lite2", seed=0)
    >>> images = np.random.randint(0, 256, (8, 256, 256, 3), "uint8")
    >>> history = model.fit(images, epochs=1, verbose=0)
    >>> model.predict(images, verbose=0)["anomaly_score"].shape
    (8,)
    """

    PYRAMID_LEVELS: ClassVar[tuple[int, ...]] = (2, 3)
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "simplenet_efficientnet_b6": {"backbone": "efficientnet_b6"},
        "simplenet_efficientnet_lite2": {
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
        hidden_dim=1024,
        noise_std=0.3,
        margin=0.5,
        standardize_features=False,
        distribution=None,
        seed=None,
        recipe="default",
        bit_depth=None,
        **kwargs,
    ):
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
        self.hidden_dim = whole_number("hidden_dim", hidden_dim, 1, MOST_CHANNELS)
        self.noise_std = finite_number("noise_std", noise_std, 0, with_least=False)
        self.margin = finite_number("margin", margin, 0, with_least=False)
        with self.scope():
            self.fusion = FusedLevels("finest", name="fusion", dtype="float32")
            shapes = [(None, *shape) for shape in self.feature_shapes]
            self.fusion.build(shapes)
            shape = self.fusion.compute_output_shape(shapes)
            seed = derive_seed(self.seed, "adaptor")
            self.adaptor = xavier_dense(
                shape[-1], shape, seed, name="adaptor", dtype=self.dtype_policy
            )
            self.discriminator = Discriminator(
                self.hidden_dim,
                seed=derive_seed(self.seed, "discriminator"),
                name="discriminator",
                dtype=self.dtype_policy,
            )
            self.discriminator.build(shape)
            self.anomaly_score = AnomalyScore(name="anomaly_score")
            self.anomaly_score.build((None, *self.image_shape))
        self.compile()

    @property
    def uses_statistics(self):
        """Always: the noise is relative to the features' standard deviation."""
        return True

    def outputs_of(self, inputs, training=False):
        """Returns map and score; in training the loss of each image."""
        batch = inputs if isinstance(inputs, dict) else {"image": inputs}
        levels = self.features_of(batch)
        features = self.adaptor(self.fusion(levels))
        outputs = {}
        if training or "weight" in batch:
            noisy = self.with_noise(features, batch.get("noise_key"))
            # In one batch, so that both are normalized by the same moments.
            judged = self.discriminator(
                ops.concatenate([features, noisy], axis=1),
                weight=batch.get("weight"),
                training=training,
            )
            normal, anomalous = ops.split(judged, 2, axis=1)
            errors = ops.relu(self.margin - normal) + ops.relu(self.margin + anomalous)
            outputs["loss"] = ops.mean(errors, axis=(1, 2))
        if not training:
            size = self.image_shape
            normality = self.discriminator(features)
            outputs["anomaly_map"] = upsample_map(-normality, size)
            outputs["anomaly_score"] = self.anomaly_score(outputs["anomaly_map"])
        if "describe" in batch:
            outputs["image_features"] = mean_features(levels)
        return outputs

    def with_noise(self, features, noise_key=None):
        """Returns adapted features and Gaussian noise.

        Args:
            features: Tensor (batch, height, width, C).
            noise_key: int32 tensor (batch, 2); None gives all images the same noise,
                in every call, so that an evaluation's loss can be compared.
        """
        if noise_key is None:
            noise_key = ops.zeros((ops.shape(features)[0], 2), "int32")
        height, width, channels = features.shape[1:]
        seed = derive_seed(self.seed, "noise")
        # Under a strategy Keras first calls a model with keys of another dtype.
        noise_key = ops.cast(noise_key, "int32")
        noise = counter_normal(noise_key, height * width * channels, seed)
        noise = ops.reshape(noise, (-1, height, width, channels)) * self._deviation()
        return ops.cast(ops.cast(features, "float32") + noise, features.dtype)

    def _deviation(self):
        """Standard deviation of the noise."""
        if self.standardize_features:
            return self.noise_std
        # The initial values of the adaptor keep the variance of what goes in.
        variances = [layer.variance for layer in self.standardizations]
        return self.noise_std * ops.sqrt(ops.mean(ops.concatenate(variances)))

    def get_config(self):
        """Returns the constructor's arguments; of the backbone no weights."""
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "noise_std": self.noise_std,
            "margin": self.margin,
            "recipe": self._recipe_argument,
        }


class Discriminator(keras.layers.Layer):
    """How normal a token is: linear, batch normalization, LeakyReLU, linear.

    Args:
        hidden_dim: Width between the linear layers.
        seed: Seed of the initial values.

    Call arguments:
        tokens: Tensor (batch, height, width, C).
        weight: Tensor (batch,), or None: images of weight 0 don't count in moments.
        training: Whether the moments are the batch's.

    Returns:
        float32 tensor (batch, height, width).
    """

    def __init__(self, hidden_dim, seed, **kwargs):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.seed = seed

    def build(self, tokens_shape, weight_shape=None):
        """Creates the layers."""
        hidden_shape = (*tokens_shape[:-1], self.hidden_dim)
        self.hidden = xavier_dense(
            self.hidden_dim,
            tokens_shape,
            derive_seed(self.seed, "hidden"),
            name="hidden",
            dtype=self.dtype_policy,
        )
        self.norm = WeightedBatchNormalization(name="norm", dtype=self.dtype_policy)
        self.norm.build(hidden_shape)
        self.output_projection = xavier_dense(
            1,
            hidden_shape,
            derive_seed(self.seed, "output"),
            use_bias=False,
            name="output",
            dtype=self.dtype_policy,
        )
        self.built = True

    def call(self, tokens, weight=None, training=False):
        """Returns a number for each token."""
        hidden = self.norm(self.hidden(tokens), weight=weight, training=training)
        hidden = ops.leaky_relu(hidden, negative_slope=0.2)
        return ops.cast(self.output_projection(hidden)[..., 0], "float32")


def xavier_dense(units, input_shape, seed, **kwargs):
    """A built `Dense` as published: kernel Xavier normal, bias PyTorch's default."""
    inputs = input_shape[-1]
    deviation, limit = math.sqrt(2.0 / (inputs + units)), 1.0 / math.sqrt(inputs)
    dense = keras.layers.Dense(
        units,
        kernel_initializer=SeededNormal(deviation, derive_seed(seed, "kernel")),
        bias_initializer=SeededUniform(limit, derive_seed(seed, "bias")),
        **kwargs,
    )
    dense.build(input_shape)
    return dense
