import json

import keras
from keras import ops

from keras_rlr.backbones import (
    Backbone,
    create_backbone,
    deserialize_backbone,
    refuse_outside_config,
    serialize_backbone,
)
from keras_rlr.detectors.anomaly_detector import AnomalyDetector
from keras_rlr.detectors.decision_thresholds import DecisionThresholds
from keras_rlr.detectors.distribution import (
    current_distribution,
    distribution_scope,
    resolve_distribution,
    spread_variables,
)
from keras_rlr.detectors.feature_extractor import FeatureExtractor
from keras_rlr.inputs.cached_batches import feature_name
from keras_rlr.keras_private import without_loss_tracker
from keras_rlr.layers.anomaly_map import AnomalyMap
from keras_rlr.layers.anomaly_score import AnomalyScore
from keras_rlr.layers.feature_perturbation import FeaturePerturbation
from keras_rlr.layers.feature_standardization import FeatureStandardization
from keras_rlr.layers.initializers import derive_seed, resolve_seed
from keras_rlr.layers.reconstruction_block import validate_attentions
from keras_rlr.losses import MeanOfErrors, ReconstructionLoss
from keras_rlr.methods.rlr.feature_reconstructor import FeatureReconstructor
from keras_rlr.methods.rlr.level_settings import (
    check_grids,
    resolve_hidden_dims,
    resolve_levels,
    resolve_windows,
)
from keras_rlr.methods.rlr.recipe import resolve_recipe


@keras.saving.register_keras_serializable(package="keras_rlr")
class RLR(AnomalyDetector):
    """Finds and localises defects in images of many products with one model.

    A frozen backbone gives feature maps at several levels; for each level a
    `FeatureReconstructor` rebuilds them from a learned reference; what it can't
    rebuild is anomalous. Everything is inside: images of 0-255 and any size go in,
    maps and scores come out. Compiled on construction, so `fit` works at once.
    Source: "Learning Unified Reference Representation for Unsupervised Multi-class
    Anomaly Detection", ECCV 2024.

    Args:
        backbone: `"efficientnet_b0"` to `"efficientnet_b7"`, `"efficientnet_lite2"`
            (its weights come with the package), a keras-hub feature-pyramid preset,
            or a Keras model that returns a list of feature maps.
        backbone_weights: `"imagenet"`, the path of a weights file, or None for
            random weights without a download.
        levels: Feature levels, fine to coarse; level j has stride 2^(j + 1).
        image_size: Side of the square the images are resized to.
        hidden_dims: Width of the reconstructor of each level; by default 128, 256
            and 512 for levels 1, 2 and 3.
        windows: Attention window of each level; by default 11, 7 and 5.
        num_heads: Attention heads.
        num_blocks: Blocks of each reconstructor.
        alpha: Factor of the attentions that read the reference.
        noise_scale: Scale of the noise added to the features in training.
        attentions: What each block sums: "mlka", "lca", "cross", "self".
        residual: Whether the blocks have a residual around the attentions.
        standardize_features: Whether each channel is brought to mean 0 and variance
            1 over the training images. Ours, not the paper's; learns sooner.
        cosine_damping: λ of the damped cosine of the score; 0 is the paper's.
        distribution: None, a number of devices, an object of `keras.distribution`
            (JAX) or a `tf.distribute.Strategy` (TensorFlow).
        seed: Seed of initial values, order of the data and noise; None draws one.
        recipe: `"default"` or `"paper"`: length, batch size and learning rate.
        compact: What `compact()` sets: without the reference, for inference alone.
        bit_depth: Bits that a value of uint16 images has, 9 to 16, where a camera
            gives 10 or 12; None is 16. May be set later (`model.bit_depth = 12`).

    Call arguments:
        inputs: Images, tensor (batch, height, width, channels), uint8, uint16 or
            float in 0-255.
        training: Whether noise is added; the output is then the loss of each image.

    Returns:
        Dict of float32 tensors: `"anomaly_map"` (batch, image_size, image_size) and
        `"anomaly_score"` (batch,).

    Raises:
        ValueError: If a setting is not possible; the message says what would be.
        ConnectionError: If the backbone's weights can't be downloaded.

    Example:

    >>> model = keras_rlr.RLR(backbone="efficientnet_lite2", levels=(3,), seed=0)
    >>> images = np.random.randint(0, 256, (8, 256, 256, 3), "uint8")
    >>> history = model.fit(images, epochs=1, verbose=0)
    >>> model.predict(images, verbose=0)["anomaly_score"].shape
    (8,)
    """

    def __init__(
        self,
        backbone="efficientnet_b6",
        backbone_weights="imagenet",
        levels=(1, 2, 3),
        image_size=256,
        hidden_dims=None,
        windows=None,
        num_heads=8,
        num_blocks=4,
        alpha=2.0,
        noise_scale=4.0,
        attentions=("mlka", "lca"),
        residual=False,
        standardize_features=False,
        cosine_damping=0.0,
        distribution=None,
        seed=None,
        recipe="default",
        compact=False,
        bit_depth=None,
        **kwargs,
    ):
        distribution = resolve_distribution(distribution)
        with distribution_scope(distribution):
            # Images keep their dtype: the preprocessor casts them itself.
            super().__init__(autocast=False, **kwargs)
            self.distribution = distribution or current_distribution()
            self.levels = resolve_levels(levels)
            self.image_size = image_size
            self.hidden_dims = resolve_hidden_dims(hidden_dims, self.levels)
            self.windows = resolve_windows(windows, self.levels)
            self.num_heads = int(num_heads)
            self.num_blocks = int(num_blocks)
            self.alpha = float(alpha)
            self.noise_scale = float(noise_scale)
            self.attentions = validate_attentions(attentions)
            self.residual = bool(residual)
            self.standardize_features = bool(standardize_features)
            self.cosine_damping = float(cosine_damping)
            if not self.cosine_damping >= 0:
                raise ValueError(
                    "`cosine_damping` must be at least 0. Received: "
                    f"{cosine_damping!r}."
                )
            self.seed = resolve_seed(seed)
            self.recipe = resolve_recipe(recipe, self.standardize_features)
            self._recipe_argument = recipe
            self.is_compact = bool(compact)
            if not isinstance(backbone, Backbone):
                backbone = create_backbone(
                    backbone,
                    levels=self.levels,
                    image_size=image_size,
                    weights=backbone_weights,
                    dtype=self.dtype_policy,
                )
            spread_variables(backbone.model, self.distribution)
            self.backbone_name = backbone.name
            # As text, because Keras tracks the dicts of a model and empties those it
            # deserialises.
            self._backbone_json = json.dumps(serialize_backbone(backbone))
            self._create_parts(backbone, bit_depth)
            self.built = True
            self.compile()

    def _create_parts(self, backbone, bit_depth):
        self.feature_extractor = FeatureExtractor(
            backbone, self.image_size, bit_depth, name="feature_extractor"
        )
        shapes = self.feature_extractor.feature_shapes
        if "mlka" in self.attentions:
            check_grids(shapes, self.levels, self.windows, self.image_size)
        self.standardizations, self.perturbations, self.reconstructors = [], [], []
        for level, shape, hidden_dim, window in zip(
            self.levels, shapes, self.hidden_dims, self.windows, strict=True
        ):
            batch_shape = (None, *shape)
            standardization = FeatureStandardization(name=f"standardization_{level}")
            perturbation = FeaturePerturbation(
                scale=self.noise_scale,
                seed=derive_seed(self.seed, f"noise_{level}"),
                name=f"perturbation_{level}",
                dtype="float32",
            )
            reconstructor = FeatureReconstructor(
                hidden_dim,
                window,
                num_heads=self.num_heads,
                num_blocks=self.num_blocks,
                alpha=self.alpha,
                attentions=self.attentions,
                residual=self.residual,
                seed=derive_seed(self.seed, f"reconstructor_{level}"),
                name=f"reconstructor_{level}",
                compact=self.is_compact,
                dtype=self.dtype_policy,
            )
            for layer in (standardization, perturbation, reconstructor):
                layer.build(batch_shape)
            self.standardizations.append(standardization)
            self.perturbations.append(perturbation)
            self.reconstructors.append(reconstructor)
        self.anomaly_map = AnomalyMap((self.image_size,) * 2, name="anomaly_map")
        self.anomaly_map.build([(None, *shape) for shape in shapes])
        self.anomaly_score = AnomalyScore(name="anomaly_score")
        self.anomaly_score.build((None, self.image_size, self.image_size))
        self.thresholds = DecisionThresholds(name="thresholds")
        self.reconstruction_loss = ReconstructionLoss(reduction=None)
        self.mean_of_errors = MeanOfErrors()
        self.loss_metric = keras.metrics.Mean(name="loss")

    def build(self, input_shape=None):
        """Everything is built on construction."""
        self.built = True

    def call(self, inputs, training=False):
        """Returns map and score; in training the loss of each image."""
        batch = inputs if isinstance(inputs, dict) else {"image": inputs}
        if "image" in batch:
            features = self.feature_extractor(batch["image"])
        else:
            names = map(feature_name, range(len(self.levels)))
            features = [ops.cast(batch[name], "float32") for name in names]
        features = self.standardize(features)
        visible = [
            perturb(f, noise_key=batch.get("noise_key"), training=training)
            for perturb, f in zip(self.perturbations, features, strict=True)
        ]
        reconstructions = self.rebuild(visible)
        outputs = {}
        if training or "weight" in batch:
            outputs["loss"] = sum(
                self.reconstruction_loss(original, rebuilt)
                for original, rebuilt in zip(features, reconstructions, strict=True)
            )
        if not training:
            outputs["anomaly_map"] = self.anomaly_map(
                features, reconstructions, damping=self._damping()
            )
            outputs["anomaly_score"] = self.anomaly_score(outputs["anomaly_map"])
        return outputs

    def standardize(self, features):
        """Returns the features of the levels, standardised if the model does so."""
        if not self.standardize_features:
            return features
        return [
            layer(f) for layer, f in zip(self.standardizations, features, strict=True)
        ]

    def rebuild(self, features):
        """Returns the reconstructions of the levels, as tensors."""
        # The noise layer works in float32; a reconstructor casts to its own dtype.
        return [
            layer(f) for layer, f in zip(self.reconstructors, features, strict=True)
        ]

    def _damping(self):
        if not self.cosine_damping:
            return None
        return [
            self.cosine_damping * layer.mean_squared_norm(self.standardize_features)
            for layer in self.standardizations
        ]

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Returns the mean loss of the images of a batch; padding does not count."""
        errors = y_pred["loss"]
        weight = x.get("weight") if isinstance(x, dict) else None
        is_real = None if weight is None else ops.cast(weight > 0, "float32")
        self.loss_metric.update_state(errors, sample_weight=is_real)
        return self.mean_of_errors(errors, errors, sample_weight=weight)

    @property
    def metrics(self):
        """The loss over real images, in place of Keras' mean over padded batches."""
        return without_loss_tracker(self, super().metrics)

    def export(self, filepath, format="saved_model", verbose=False, **options):
        """Writes the model for use without this package, and compares the two.

        Args:
            filepath: See `keras_rlr.export.export_model`.
            format: "saved_model", "litert", "onnx" or "openvino".
            verbose: Whether to print how far the export agrees.
            **options: Other arguments of `keras_rlr.export.export_model`: `quantize`,
                `images`, `categories`, `evaluation`.

        Returns:
            The manifest, a dict.
        """
        # Upwards, and therefore late: that the model has the method is Keras' way.
        from keras_rlr.export import export_model

        manifest = export_model(self, filepath, format, **options)
        if verbose:
            print(json.dumps(manifest["comparison"], indent=2))
        return manifest

    def _recipe_optimizer(self):
        return keras.optimizers.Adam(
            self.recipe.learning_rate,
            beta_2=self.recipe.beta_2,
            epsilon=1e-8,
            name="adam",
        )

    def compile(self, optimizer=None, *args, **kwargs):
        """As Keras' method, but that without an optimizer it is the recipe's."""
        if optimizer is None:
            optimizer = self._recipe_optimizer()
        super().compile(optimizer, *args, **kwargs)

    def compile_from_config(self, config):
        """Compiles as a saved model was; Keras leaves it to classes with a `compile`.

        Args:
            config: What `get_compile_config` returned.
        """
        refuse_outside_config(config)
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        """Returns Keras' compile configuration, or none where the recipe's will do.

        Loading builds the optimizer of a configuration, and then misses the moments
        of one that was saved without them.
        """
        own = self._recipe_optimizer().get_config()
        used = dict(self.optimizer.get_config(), learning_rate=own["learning_rate"])
        if not self.optimizer.built and used == own:
            return {}
        config = super().get_compile_config()
        # PyTorch's optimizers name a class that no other backend can run.
        public = [
            base.__name__
            for base in type(self.optimizer).__mro__
            if getattr(keras.optimizers, base.__name__, None) is base
        ]
        if public and isinstance(config.get("optimizer"), dict):
            config["optimizer"].update(
                module="keras.optimizers", class_name=public[0], registered_name=None
            )
        # What was resolved for this backend would be slow or impossible on another.
        return {**config, "jit_compile": "auto"}

    def get_config(self):
        """Returns the constructor's arguments; of the backbone no weights."""
        return {
            **super().get_config(),
            "backbone": json.loads(self._backbone_json),
            "levels": self.levels,
            "image_size": self.image_size,
            "hidden_dims": self.hidden_dims,
            "windows": self.windows,
            "num_heads": self.num_heads,
            "num_blocks": self.num_blocks,
            "alpha": self.alpha,
            "noise_scale": self.noise_scale,
            "attentions": self.attentions,
            "residual": self.residual,
            "standardize_features": self.standardize_features,
            "cosine_damping": self.cosine_damping,
            "seed": self.seed,
            "recipe": self._recipe_argument,
            "compact": self.is_compact,
            "bit_depth": self.bit_depth,
            "trained_categories": self.trained_categories,
        }

    @classmethod
    def from_config(cls, config):
        """Builds the model without downloading anything."""
        refuse_outside_config(config)
        config = dict(config)
        trained_categories = config.pop("trained_categories", ())
        backbone = config["backbone"]
        if isinstance(backbone, dict):
            config["backbone"] = deserialize_backbone(
                backbone,
                levels=config["levels"],
                image_size=config["image_size"],
                dtype=keras.dtype_policies.get(config.get("dtype")),
            )
        model = cls(**config)
        model.trained_categories = tuple(trained_categories)
        return model
