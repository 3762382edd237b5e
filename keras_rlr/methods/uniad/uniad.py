from typing import Any, ClassVar

import keras
from keras import ops

from keras_rlr.checked_numbers import (
    MOST_CHANNELS,
    MOST_LAYERS,
    finite_number,
    whole_number,
)
from keras_rlr.detectors.feature_detector import FeatureDetector, mean_features
from keras_rlr.detectors.recipe import Recipe, named_recipe
from keras_rlr.layers.anomaly_map import upsample_map
from keras_rlr.layers.anomaly_score import AnomalyScore
from keras_rlr.layers.feature_perturbation import FeaturePerturbation
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.initializers import derive_seed
from keras_rlr.layers.neighborhood import validate_window, window_hides_grid
from keras_rlr.methods.uniad.transformer import Transformer

PAPER = Recipe(
    "paper",
    epochs=1000,
    batch_size=64,
    learning_rate=1e-4,
    weight_decay=1e-4,
    drops=(0.8,),
    drop_factor=0.1,
)
_STANDARDIZED = Recipe(
    "default",
    steps=1500,
    epochs=15,
    batch_size=4,
    learning_rate=2e-4,
    beta_2=0.95,
    weight_decay=1e-4,
    drops=(0.8,),
    drop_factor=0.1,
)


@keras.saving.register_keras_serializable(package="keras_rlr")
class UniAD(FeatureDetector):
    """Rebuilds features by a transformer that is kept from copying them.

    The levels are brought to one grid, one behind the other. Noise is added, and an
    encoder and a decoder rebuild what was there without it. They can't just pass it on:
    no token attends to its neighbourhood, and each layer of the decoder begins with
    learned queries. With original features f and their reconstruction r:

        loss = mean of (f - r)²        anomaly of a place = ‖f - r‖₂ over the channels

    Source: "A Unified Model for Multi-class Anomaly Detection", NeurIPS 2022, section
    3; where it is silent, its published implementation.

    Departures, published -> here:

    - EfficientNet-B4, strides 2 to 16, 224 pixels, 14x14 tokens -> any backbone and
      levels, 256 pixels, the coarsest level's grid: one set of features for all
      methods. `image_size=224` gives 14x14 tokens at level 3.
    - Levels are interpolated bilinearly to the grid -> finer ones are averaged over the
      tokens that fall into one, after the mean of 3x3 tokens that all methods have.
    - Jitter with probability 1 a batch, of a backend's generator -> of a hash of seed,
      step and place, the same on every backend.
    - Dropout 0.1 in attentions and feed-forward networks -> none: it would make a
      training another on each backend and number of devices.
    - Gradients clipped to a norm of 0.1 -> not clipped: under a strategy Keras clips on
      each device by itself, and AdamW takes the size of the gradients out anyway.
    - Output projections of the attentions: Xavier uniform at first -> uniform in
      ±1/√D, as PyTorch initialises a linear layer.
    - Image score: largest value of the map averaged over 16x16 pixels -> of the map
      smoothed with a Gaussian of 4 pixels, as of all methods here.
    - The best epoch of the test set -> the last epoch.

    Args:
        backbone: As of `RLR`.
        backbone_weights: As of `RLR`.
        levels: Feature levels, fine to coarse, by default 1, 2 and 3; see `RLR`.
        image_size: What images are resized to: the side of a square, or (height,
            width), in pixels.
        hidden_dim: Width of the transformer: even, divisible by `num_heads`.
        window: Odd side of the neighbourhood that a token does not attend to.
        num_heads: Attention heads.
        num_encoder_layers: Layers of the encoder.
        num_decoder_layers: Layers of the decoder.
        ffn_dim: Width inside of the feed-forward networks.
        noise_scale: Scale of the jitter, as of `RLR`.
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
        training: Whether noise is added; the output is then the loss of each image.

    Returns:
        Dict of float32 tensors: `"anomaly_map"` (batch, height, width) and
        `"anomaly_score"` (batch,).

    Raises:
        ValueError: If a setting is not possible; the message says what would be.
        ConnectionError: If the backbone's weights can't be downloaded.

    Example:

    >>> model = keras_rlr.UniAD.from_preset("uniad_efficientnet_lite2", seed=0)
    >>> images = np.random.randint(0, 256, (8, 256, 256, 3), "uint8")
    >>> history = model.fit(images, epochs=1, verbose=0)
    >>> model.predict(images, verbose=0)["anomaly_score"].shape
    (8,)
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "uniad_efficientnet_b6": {"backbone": "efficientnet_b6"},
        "uniad_efficientnet_lite2": {
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
        hidden_dim=256,
        window=7,
        num_heads=8,
        num_encoder_layers=4,
        num_decoder_layers=4,
        ffn_dim=1024,
        noise_scale=20.0,
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
        self.noise_scale = finite_number("noise_scale", noise_scale, 0)
        widths = {"hidden_dim": hidden_dim, "num_heads": num_heads, "ffn_dim": ffn_dim}
        counts = {
            "num_encoder_layers": num_encoder_layers,
            "num_decoder_layers": num_decoder_layers,
        }
        self.transformer_settings = {
            "window": validate_window(window),
            **{n: whole_number(n, v, 1, MOST_CHANNELS) for n, v in widths.items()},
            **{n: whole_number(n, v, 1, MOST_LAYERS) for n, v in counts.items()},
        }
        _check_heads(
            self.transformer_settings["hidden_dim"],
            self.transformer_settings["num_heads"],
        )
        with self.scope():
            self.fusion = FusedLevels("coarsest", name="fusion", dtype="float32")
            shapes = [(None, *shape) for shape in self.feature_shapes]
            self.fusion.build(shapes)
            shape = self.fusion.compute_output_shape(shapes)
            _check_grid(shape[1], shape[2], self.transformer_settings["window"])
            self.perturbation = FeaturePerturbation(
                scale=self.noise_scale,
                seed=derive_seed(self.seed, "noise"),
                name="perturbation",
                dtype="float32",
            )
            self.perturbation.build(shape)
            self.transformer = Transformer(
                **self.transformer_settings,
                seed=derive_seed(self.seed, "transformer"),
                name="transformer",
                dtype=self.dtype_policy,
            )
            self.transformer.build(shape)
            self.anomaly_score = AnomalyScore(name="anomaly_score")
            self.anomaly_score.build((None, *self.image_shape))
        self.compile()

    def outputs_of(self, inputs, training=False):
        """Returns map and score; in training the loss of each image."""
        batch = inputs if isinstance(inputs, dict) else {"image": inputs}
        levels = self.features_of(batch)
        features = self.fusion(levels)
        visible = self.perturbation(
            features, noise_key=batch.get("noise_key"), training=training
        )
        reconstruction = ops.cast(self.transformer(visible), "float32")
        errors = ops.sum(ops.square(features - reconstruction), axis=-1)
        outputs = {}
        if training or "weight" in batch:
            outputs["loss"] = ops.mean(errors, axis=(1, 2)) / features.shape[-1]
        if not training:
            size = self.image_shape
            outputs["anomaly_map"] = upsample_map(ops.sqrt(errors), size)
            outputs["anomaly_score"] = self.anomaly_score(outputs["anomaly_map"])
        if "describe" in batch:
            outputs["image_features"] = mean_features(levels)
        return outputs

    def get_config(self):
        """Returns the constructor's arguments; of the backbone no weights."""
        return {
            **super().get_config(),
            **self.transformer_settings,
            "noise_scale": self.noise_scale,
            "recipe": self._recipe_argument,
        }


def _check_heads(hidden_dim, num_heads):
    if hidden_dim % 2 or hidden_dim % num_heads:
        raise ValueError(
            "`hidden_dim` must be even (half of it codes the column, half the row) and "
            f"divisible by the number of heads. Received: hidden_dim={hidden_dim}, "
            f"num_heads={num_heads}."
        )


def _check_grid(height, width, window):
    if window_hides_grid(height, width, window):
        raise ValueError(
            f"A neighbourhood of {window}x{window} tokens hides the whole "
            f"{height}x{width} grid of the coarsest level from the token in its "
            "middle, which has nothing left to attend to. Give a smaller `window`, a "
            "larger `image_size`, or leave the coarsest level out of `levels`."
        )
