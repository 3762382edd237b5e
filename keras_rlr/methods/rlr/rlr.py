import keras

from keras_rlr.checked_numbers import finite_number, whole_number
from keras_rlr.detectors.reconstruction_detector import ReconstructionDetector
from keras_rlr.inputs.augmentation import resolve_augmentation
from keras_rlr.layers.memory_bank import check_distance
from keras_rlr.layers.reconstruction_block import validate_attentions
from keras_rlr.methods.rlr.bank_beside import check_error_share, new_bank
from keras_rlr.methods.rlr.compact_copy import compact_copy
from keras_rlr.methods.rlr.feature_reconstructor import new_reconstructors
from keras_rlr.methods.rlr.first_look import look_at_batches, look_at_images
from keras_rlr.methods.rlr.last_look import (
    announce_missing_maps,
    look_back,
    new_usual_map,
)
from keras_rlr.methods.rlr.level_settings import (
    check_grids,
    resolve_hidden_dims,
    resolve_similar_images,
    resolve_windows,
)
from keras_rlr.methods.rlr.map_and_score import map_and_score
from keras_rlr.methods.rlr.presets import PRESETS, preset_arguments
from keras_rlr.methods.rlr.recipe import resolve_recipe
from keras_rlr.methods.rlr.reference_start import check_reference, is_to_start


@keras.saving.register_keras_serializable(package="keras_rlr")
class RLR(ReconstructionDetector):
    """Finds and localises defects in images of many products with one model.

    A frozen backbone gives feature maps at several levels; for each level a
    `FeatureReconstructor` rebuilds them from a learned reference; what it can't
    rebuild is anomalous. Everything is inside: images of 0-255 and any size go in,
    maps and scores come out. Compiled on construction, so `fit` works at once.
    Source: "Learning Unified Reference Representation for Unsupervised Multi-class
    Anomaly Detection", ECCV 2024.

    Args:
        backbone: `"efficientnet_b0"` to `"efficientnet_b7"`, `"efficientnet_lite2"`
            (its weights come with the package), a vision transformer
            (`"dinov2_small"`, `"dinov2_base"`, `"dinov3_vit_small_lvd1689m"`, …), a
            keras-hub preset of a feature pyramid, DINOv2 or DINOv3 (name, folder or
            `hf://…`), or a Keras model that returns a list of feature maps.
        backbone_weights: `"imagenet"`, the pretrained ones (of a vision transformer
            too, which has seen other images), the path of a weights file, or None
            for random weights without a download.
        levels: Feature levels, fine to coarse, by default 1, 2 and 3; level j has
            stride 2^(j + 1). Of a vision transformer blocks from 1 on, and tuples of
            blocks, whose mean is one level; by default eight in two groups, such as
            `((3, 4, 5, 6), (7, 8, 9, 10))` of 12 blocks.
        image_size: Side of a square, or (height, width), that images are resized to;
            multiples of the strides, or of a transformer's patch (14 of DINOv2).
        hidden_dims: Width of the reconstructor of each level; by default 128, 256
            and 512 for levels 1, 2 and 3, and 384 for a vision transformer's.
        windows: Attention window of each level; by default 11, 7 and 5, and 7 for a
            vision transformer's.
        num_heads: Attention heads.
        num_blocks: Blocks of each reconstructor.
        alpha: Factor of the attentions that read the reference.
        noise_scale: Scale of the noise added to the features in training.
        attentions: What each block sums: "mlka", "lca", "cross", "self".
        residual: Whether the blocks have a residual around the attentions.
        standardize_features: Whether each channel is brought to mean 0 and variance
            1 over the training images. Ours, not the paper's; learns sooner.
        cosine_damping: λ of the damped cosine of the score; 0 is the paper's.
        fuse_levels: Whether one reconstructor rebuilds all levels, in the grid of the
            coarsest, where the tokens of finer ones that fall into one are put behind
            each other; it costs what the coarsest level alone does. `hidden_dims` and
            `windows` then have one value. Ours, not the paper's.
        dropout: Share of the features that are 0 in training, beside the noise; the
            paper's is 0.
        loss_of_squares: Whether the loss is mean square and cosine, the paper's, or
            the cosine alone. The anomaly map always has both.
        hard_mining: Share of each image's tokens, the easiest, that have a tenth of
            their gradient; the paper's is 0.
        score_share: Share of the smoothed map, its largest values, that the score is
            the mean of; 0, the authors' implementation's, is the largest alone.
        coreset_ratio: Share of the training images' patches that a memory bank keeps
            beside the reconstructor; 0 is none, as in the paper. With one, what is
            anomalous is what can neither be reconstructed nor is near to a patch of
            the bank: the map is error^s · distance^(1 - s), s = `error_share`,
            smoothed as for the score.
            The bank is that of `PatchCore`, of all levels, in the finest grid of at
            most one token for 8 x 8 pixels. `fit` selects it anew before it trains,
            unless it goes on (`initial_epoch`); `adapt` does, from at most 512 images.
        max_patches: From how many patches at most the bank is selected.
        distance: Of the bank, `"euclidean"` or `"cosine"`, see `PatchCore`.
        error_share: How much of the map with a bank is the error's, from 0 to 1. By
            default a quarter: of normal images, the logarithm of the error's peak
            varies about three times as much as that of the distance's.
        reference_tokens: Tokens of the reference at each place; the paper has one. All
            of a place are read where one would be.
        reference_start: None for random numbers, as in the paper; `"samples"`: at each
            place the tokens of as many images, drawn at random; `"means"`: the mean
            token of all. Of at most 512 training images, when the model is trained or
            adapted the first time, and never again.
        similar_images: Number of training images to compare with; 0 is none, as in the
            paper. At each place the map is divided by what it usually is there in so
            many, those most like the new one among at most 512, see `UsualMap`. `fit`
            keeps their maps when it ends; until then, maps are as they are.
        similar_share: The power of what is usual, from 0 to 1, to divide by; or two,
            of the map and of the score, which then is that of another map.
        augmentation: Of `"flip"` (left-right and up-down) and `"rotate"` (by quarter
            turns): each image of each step is one of those that are possible, drawn at
            random; the bank has the patches of all. For textures and parts that lie at
            any angle. A feature cache then holds every image in all ways, 3, 4 or 8,
            which the backbone sees. Inference is the same; the paper has none.
        distribution: None, a number of devices, an object of `keras.distribution`
            (JAX) or a `tf.distribute.Strategy` (TensorFlow).
        seed: Seed of initial values, order of the data and noise; None draws one.
        recipe: `"default"` or `"paper"`: length, batch size and learning rate.
        compact: What `compact()` sets: without the reference, for inference alone.
        bit_depth: Bits that a value of uint16 images has, 9 to 16, where a camera
            gives 10 or 12; None is 16. May be set later (`model.bit_depth = 12`).
        bank_size: Patches in the memory bank; `fit` sets it, and a saved model has it.
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

    >>> model = keras_rlr.RLR(backbone="efficientnet_lite2", levels=(3,), seed=0)
    >>> images = np.random.randint(0, 256, (8, 256, 256, 3), "uint8")
    >>> history = model.fit(images, epochs=1, verbose=0)
    >>> model.predict(images, verbose=0)["anomaly_score"].shape
    (8,)
    """

    PRESETS = PRESETS
    takes_aligned_tiles = True

    def __init__(
        self,
        backbone="efficientnet_b6",
        backbone_weights="imagenet",
        levels=None,
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
        fuse_levels=False,
        dropout=0.0,
        loss_of_squares=True,
        hard_mining=0.0,
        score_share=0.0,
        coreset_ratio=0.0,
        max_patches=200_000,
        distance="euclidean",
        error_share=0.25,
        reference_tokens=1,
        reference_start=None,
        similar_images=0,
        similar_share=0.5,
        augmentation=(),
        distribution=None,
        seed=None,
        recipe="default",
        compact=False,
        bit_depth=None,
        bank_size=None,
        **kwargs,
    ):
        super().__init__(
            backbone=backbone,
            backbone_weights=backbone_weights,
            levels=levels,
            image_size=image_size,
            noise_scale=noise_scale,
            standardize_features=standardize_features,
            cosine_damping=cosine_damping,
            fuse_levels=fuse_levels,
            dropout=dropout,
            loss_of_squares=loss_of_squares,
            hard_mining=hard_mining,
            score_share=score_share,
            distribution=distribution,
            seed=seed,
            recipe=resolve_recipe(recipe, standardize_features, fuse_levels),
            bit_depth=bit_depth,
            **kwargs,
        )
        self._recipe_argument = recipe
        # The grid of fused levels is that of the coarsest.
        of_grids = self.levels[-1:] if self.fuse_levels else self.levels
        self.hidden_dims = resolve_hidden_dims(hidden_dims, of_grids, self.has_blocks)
        self.windows = resolve_windows(windows, of_grids, self.has_blocks)
        self.num_heads = num_heads
        self.num_blocks = num_blocks
        self.alpha = finite_number("alpha", alpha)
        self.attentions = validate_attentions(attentions)
        self.residual = bool(residual)
        self.is_compact = bool(compact)
        # Without a bank it is 0.
        self.coreset_ratio = finite_number("coreset_ratio", coreset_ratio, 0, 1)
        self.max_patches = whole_number("max_patches", max_patches, 1)
        self.distance = check_distance(distance)
        self.error_share = check_error_share(error_share)
        self.reference_tokens, self.reference_start = check_reference(
            reference_tokens, reference_start, self.attentions, self.tiles_aligned
        )
        self.similar_images, self.similar_share = resolve_similar_images(
            similar_images, similar_share
        )
        self.augmentation = resolve_augmentation(augmentation, self.image_size)
        if "mlka" in self.attentions:
            check_grids(self.grid_shapes, of_grids, self.windows, self.image_shape)
        with self.scope():
            self.reconstructors = new_reconstructors(self)
            self.memory_bank = None
            if self.coreset_ratio:
                self.bank_tokens, self.memory_bank = new_bank(
                    self.feature_shapes, self.image_shape, bank_size, distance
                )
            self.usual_map = None
            if self.similar_images:
                self.looks_back = True
                self.usual_map = new_usual_map(
                    self.similar_images,
                    self.similar_share,
                    self.feature_shapes,
                    self.image_shape,
                    self.places_each,
                )
        self.compile()

    @classmethod
    def preset_arguments(cls, preset, **overrides):
        """Returns the arguments that a preset stands for; what suits it goes with it.

        Args:
            preset: A name in `PRESETS`.
            **overrides: Arguments that replace the preset's.

        Raises:
            ValueError: If there is no such preset; the message lists them.

        Example:

        >>> model = keras_rlr.RLR.from_preset("rlr_efficientnet_lite2", seed=0)
        """
        return preset_arguments(preset, **overrides)

    @property
    def bank_size(self):
        """Number of patches in the memory bank; None before there is one."""
        return self.memory_bank.size if self.memory_bank else None

    @property
    def described_size(self):
        """What `fit` stored and how much that is, in words, or None."""
        return self.memory_bank.described_size if self.memory_bank else None

    def check_ready(self):
        """Refuses to infer before there are the statistics and the bank it uses."""
        super().check_ready()
        if self.memory_bank and self.bank_size is None:
            raise ValueError(
                "This RLR keeps a memory bank and has not seen normal images yet. Call "
                "fit(train_ds), or adapt(train_ds), first."
            )

    def training_batches(self, source, feature_cache, steps_per_epoch, **order):
        """Returns batches of images or cached features; starts reference and bank."""
        batches = super().training_batches(
            source,
            feature_cache,
            steps_per_epoch,
            augmentation=self.augmentation,
            **order,
        )
        # A step alone, of `train_on_batch`, has no epoch; it needs a bank before.
        goes_on = order.get("first_epoch") != 0 or order.get("first_batch", 0) > 0
        look_at_batches(self, batches, steps_per_epoch, goes_on)
        if self.usual_map:
            # What training changes.
            self.usual_map.forget()
        return batches

    def _inference_source(self, *args):
        source = super()._inference_source(*args)
        # While `fit` trains it there can be none: `look_back` keeps them at the end.
        if self.usual_map and not self.is_fitting:
            announce_missing_maps(self.usual_map)
        return source

    @property
    def has_looked(self):
        """Whether statistics were taken, and the reference started."""
        return super().has_looked and not is_to_start(self)

    def forget_first_look(self):
        """Gives up statistics and start; a bank is selected anew by each training."""
        super().forget_first_look()
        for reconstructor in self.reconstructors:
            reconstructor.reference_weights.forget_start()

    def look_back(self, batches, steps):
        """Keeps maps of what the model was trained on; see `DetectorModel`."""
        if self.usual_map:
            look_back(self, batches, steps)

    def adapt(self, x, batch_size=None, steps=None):
        """As of `FeatureDetector`; from the same images a memory bank is selected.

        A reference that starts from data and never did, does so from them too.

        Args:
            x: Normal images, any kind of data that `fit` takes. At most 512 are used:
                drawn by the seed from data with a length and an index, else the first.
            batch_size: For data that is not batched.
            steps: Number of batches; needed for endless data.
        """
        super().adapt(x, batch_size, steps)
        look_at_images(self, x, batch_size, steps)

    @property
    def has_score_map(self):
        """Whether scores are those of another map, which a region is to see too."""
        return self.usual_map is not None and len(set(self.similar_share)) == 2

    def map_and_score(self, error, features, tiles=None):
        """Returns map and score: of the error, and of what is beside it."""
        return map_and_score(self, error, features, tiles)

    def reconstruct_levels(self, features, tiles=None):
        """Returns the reconstructions of the levels, as tensors."""
        # The noise layer works in float32; a reconstructor casts to its own dtype.
        pairs = zip(self.reconstructors, features, strict=True)
        return [layer(f, tiles) for layer, f in pairs]

    def compact(self, dtype=None):
        """Returns a copy for inference, without what depends on no image.

        The reference, its embedding and the projections that read nothing else are
        gone; their results are in their place, so they are computed no more. Maps,
        scores and thresholds are the same; of a coarser policy thresholds are higher
        by the margin that scores then differ by. The copy can't be trained.

        Args:
            dtype: A dtype policy for the copy, or None for the model's.

        Example:

        >>> model = keras_rlr.RLR(backbone="efficientnet_lite2", levels=(3,), seed=0)
        >>> model.compact().is_compact
        True
        """
        return compact_copy(self, dtype)

    def get_config(self):
        """Returns the constructor's arguments; of the backbone no weights."""
        return {
            **super().get_config(),
            "hidden_dims": self.hidden_dims,
            "windows": self.windows,
            "num_heads": self.num_heads,
            "num_blocks": self.num_blocks,
            "alpha": self.alpha,
            "attentions": self.attentions,
            "residual": self.residual,
            "coreset_ratio": self.coreset_ratio,
            "max_patches": self.max_patches,
            "distance": self.distance,
            "error_share": self.error_share,
            "reference_tokens": self.reference_tokens,
            "reference_start": self.reference_start,
            "similar_images": self.similar_images,
            "similar_share": self.similar_share,
            "augmentation": self.augmentation,
            "bank_size": self.bank_size,
            "recipe": self._recipe_argument,
            "compact": self.is_compact,
        }
