import warnings

import keras
from keras import ops

from keras_rlr import processes
from keras_rlr.backbones import refuse_outside_config
from keras_rlr.detectors.argument_kinds import ChecksArguments
from keras_rlr.detectors.compiling import (
    compile_as_saved,
    optimizer_in_scope,
    refuse_loss_and_metrics,
    saved_compile_config,
)
from keras_rlr.detectors.decision_thresholds import DecisionThresholds
from keras_rlr.detectors.distribution import (
    current_distribution,
    distribution_scope,
    resolve_distribution,
)
from keras_rlr.detectors.from_presets import FromPresets
from keras_rlr.detectors.inference import infer_resized
from keras_rlr.detectors.integer_images import TakesImages
from keras_rlr.detectors.jax_values import restore_values, values_to_restore
from keras_rlr.detectors.on_devices import OnDevices
from keras_rlr.detectors.on_regions import OnRegions
from keras_rlr.detectors.on_thresholds import OnThresholds
from keras_rlr.detectors.on_tiles import (
    MOST_AT_ONCE,
    exportable_tiles,
    is_of_training,
    outputs_on_tiles,
    tiling_of,
)
from keras_rlr.detectors.region_of_interest import RegionOfInterest
from keras_rlr.detectors.score_thresholds import MARGINS
from keras_rlr.image_size import height_and_width, possible_image_size
from keras_rlr.inputs.images import check_bits
from keras_rlr.keras_private import without_loss_tracker
from keras_rlr.layers.initializers import resolve_seed
from keras_rlr.losses import MeanOfErrors
from keras_rlr.tiling import DEFAULT_OVERLAP, checked_overlap
from keras_rlr.torch_processes import whole


def _check_policy(dtype):
    try:
        keras.dtype_policies.get(dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`dtype` is no policy of Keras': {error}") from error


class DetectorModel(
    TakesImages, FromPresets, OnDevices, OnRegions, OnThresholds, ChecksArguments
):
    """What Keras asks of every detector: devices, compiling, weights, configuration.

    Args:
        image_size: What images are resized to: the side of a square, or (height,
            width), in pixels.
        recipe: The `Recipe` it is trained by.
        distribution: None, a number of devices, an object of `keras.distribution`
            (JAX) or a `tf.distribute.Strategy` (TensorFlow).
        seed: Seed of all that is random; None draws one.
        trained_categories: Names of the products that it was trained on.
        tiles: (rows, columns) of tiles of `image_size` that an image is looked at in,
            of any place; None for the image as one. Its score is the highest of them.
        overlap: What neighbouring tiles have in common: a share of a tile's side, or
            whole pixels.
        tiles_aligned: Whether a tile shows the same part of every image, as of parts
            that lie in one position: what is normal is then learned for each by itself.
        region_of_interest: Where to look: see the property of that name, and text that
            `get_config` has.
        **kwargs: `name`, `dtype` and `trainable`, as in Keras.
    """

    # Whether it is the copy that `compact()` makes, which can't be trained.
    is_compact = False
    # Whether features that are kept save a backbone's work in later epochs.
    profits_from_cache = False
    # Whether it is trained by steps of an optimizer.
    has_steps = True
    # Whether tiles of any place can be looked at, and tiles whose place it knows.
    takes_tiles = True
    takes_aligned_tiles = False
    # Whether `look_back` has something to do.
    looks_back = False
    # Whether `fit` is training it, which callbacks may look at.
    is_fitting = False
    # Whether `fit` within `storing_more()` adds to what it stores of other images.
    adds_to_what_it_stores = False

    def __init__(
        self,
        image_size,
        recipe,
        distribution=None,
        seed=None,
        trained_categories=(),
        tiles=None,
        overlap=DEFAULT_OVERLAP,
        tiles_aligned=False,
        region_of_interest=None,
        **kwargs,
    ):
        distribution = resolve_distribution(distribution)
        _check_policy(kwargs.get("dtype"))
        with distribution_scope(distribution):
            # Images keep their dtype: the preprocessor casts them itself.
            super().__init__(autocast=False, **kwargs)
            self.distribution = distribution or current_distribution()
            self.image_size = possible_image_size(image_size)
            self.overlap = checked_overlap(overlap)
            self.tiles_aligned = bool(tiles_aligned)
            self.tiling, self.whole_preprocessor = tiling_of(self, tiles)
            self._region = RegionOfInterest.of(region_of_interest, self.map_size)
            self.recipe = recipe
            # One that is drawn is the first process's.
            self.seed = processes.told(lambda: resolve_seed(seed))
            self.trained_categories = tuple(trained_categories)
            self.thresholds = DecisionThresholds(name="thresholds")
            self.mean_of_errors = MeanOfErrors()
            self.loss_metric = keras.metrics.Mean(name="loss")
            self.built = True

    def call(self, inputs, training=False):
        """Returns what `outputs_of` does, of whole images where it looks at tiles.

        And of the region of interest alone, but for a training, which sees all.
        """
        if is_of_training(inputs):
            return self.outputs_of(inputs, training=training)
        run = outputs_on_tiles if self.tiling else type(self).outputs_of
        outputs = run(self, self.described(inputs), training=training)
        return self.within_region(outputs, inputs)

    def outputs_of(self, inputs, training=False):
        """Returns map and score, in training the loss: see `AnomalyDetector`."""
        raise NotImplementedError(f"{type(self).__name__} must define `outputs_of`.")

    @property
    def has_score_map(self):
        """Whether `outputs_of` gives what `outputs_within` calls score map."""
        return False

    @property
    def inference_batch(self):
        """Images that go through the model at once, where nobody says how many."""
        return max(1, MOST_AT_ONCE // self.parts_each)

    @property
    def parts_each(self):
        """Number of tiles that an image is trained on as, or 1."""
        return self.tiling.count if self.tiling else 1

    @property
    def places_each(self):
        """Number of tiles that each have a normal of their own, or 1."""
        return self.parts_each if self.tiles_aligned else 1

    @property
    def tiles(self):
        """(rows, columns) of the tiles of an image, or None."""
        return self.tiling and (self.tiling.rows, self.tiling.columns)

    def build(self, input_shape=None):
        """Everything is built on construction."""
        self.built = True

    @property
    def image_shape(self):
        """(height, width) of `image_size`."""
        return height_and_width(self.image_size)

    @property
    def map_size(self):
        """(height, width) of the anomaly maps: of an image, or of all its tiles."""
        return self.tiling.whole_size if self.tiling else self.image_shape

    @property
    def bit_depth(self):
        """Bits that a value of uint16 images has; None is 16."""
        return self.preprocessor.bit_depth

    @bit_depth.setter
    def bit_depth(self, bits):
        self.preprocessor.bit_depth = check_bits(bits)
        if self.whole_preprocessor:
            self.whole_preprocessor.bit_depth = check_bits(bits)

    @property
    def described_size(self):
        """What `fit` stored and how much that is, in words, or None."""
        return None

    def set_weights(self, weights):
        """As Keras' method; thresholds of categories, which are no weights, are lost.

        Args:
            weights: What `get_weights` of a model like this one returned.
        """
        self.thresholds.forget()
        super().set_weights(weights)

    def load_weights(self, filepath, skip_mismatch=False, **kwargs):
        """As Keras' method; a file holds thresholds too, for one region of interest.

        Args:
            filepath: Of a `.weights.h5` or `.keras` file.
            skip_mismatch: Whether to leave weights alone that do not fit. The
                thresholds are then forgotten.
            **kwargs: As in Keras.
        """
        self.thresholds.forget()
        shapes = [variable.shape for variable in self.variables]
        with warnings.catch_warnings():
            # A file may be of a model that was saved without its optimizer's state.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)
        # A memory bank takes the size of the file's.
        if shapes != [variable.shape for variable in self.variables]:
            self.forget_compiled_functions()
        if skip_mismatch:
            self.thresholds.forget()
        self.forget_thresholds_of_other_regions()

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Returns the mean loss of the images of a batch; padding does not count."""
        errors = y_pred["loss"]
        weight = x.get("weight") if isinstance(x, dict) else None
        is_real = None if weight is None else ops.cast(weight > 0, "float32")
        self.loss_metric.update_state(whole(errors), sample_weight=whole(is_real))
        return self.mean_of_errors(errors, errors, sample_weight=weight)

    @property
    def metrics(self):
        """The loss over real images, in place of Keras' mean over padded batches."""
        return without_loss_tracker(self, super().metrics)

    def compile(self, optimizer=None, loss=None, **kwargs):
        """As Keras' method, but that without an optimizer it is the recipe's.

        Args:
            optimizer: An optimizer of Keras, its name, or None.
            loss: Must be None: the loss is the method's.
            **kwargs: As in Keras; metrics are refused.

        Raises:
            ValueError: If there is a loss or there are metrics.
        """
        refuse_loss_and_metrics({"loss": loss, **kwargs})
        with self.scope():
            if optimizer is None:
                optimizer = self.recipe.optimizer()
            optimizer = optimizer_in_scope(optimizer, self.distribution)
            super().compile(optimizer, **kwargs)

    def compile_from_config(self, config):
        """Compiles as a saved model was; Keras leaves it to classes with a `compile`.

        Args:
            config: What `get_compile_config` returned.
        """
        compile_as_saved(self, config)

    def get_compile_config(self):
        """Returns Keras' compile configuration, or none where the recipe's will do."""
        return saved_compile_config(self, super().get_compile_config())

    def get_config(self):
        """Returns the constructor's arguments, but for the distribution."""
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "seed": self.seed,
            "bit_depth": self.bit_depth,
            "trained_categories": self.trained_categories,
            "tiles": self.tiles,
            "overlap": self.overlap,
            "tiles_aligned": self.tiles_aligned,
            "region_of_interest": self._region and self._region.as_text(),
        }

    @classmethod
    def from_config(cls, config):
        """Builds the model; nothing is downloaded, and no other file is read."""
        refuse_outside_config(config)
        return cls(**config)

    def config_in(self, dtype):
        """Returns the configuration of the same model of another dtype policy.

        Args:
            dtype: The policy's name, or None for the model's own.
        """
        config = self.get_config()
        return config if dtype is None else {**config, "dtype": dtype}

    def compact(self, dtype=None):
        """Returns a copy for inference, without what depends on no image.

        Args:
            dtype: A dtype policy for the copy, or None for the model's.

        Returns:
            The model itself, if it has nothing of the kind and is of that policy.
        """
        if dtype in (None, self.dtype_policy.name):
            return self
        return self._copy(self.config_in(dtype))

    def exportable(self, format):
        """Returns the model that an export of a format holds, and what it does not.

        Args:
            format: "saved_model", "litert", "onnx" or "openvino".

        Returns:
            (model, departures): itself, or a copy that does otherwise what the format
            can't hold, and a sentence for the user of each such thing.
        """
        return exportable_tiles(self, format)

    def _copy(self, config):
        """A model of this one's weights and thresholds, and another configuration."""
        copy = type(self).from_config(config)
        copy.set_weights(self.get_weights())
        self.lend_thresholds(copy)
        return copy

    def lend_thresholds(self, copy):
        """Gives a copy this model's thresholds, with the margin of a coarser dtype."""
        copy.thresholds.copy_from(self.thresholds)
        more = MARGINS[copy.compute_dtype] - MARGINS[self.compute_dtype]
        copy.thresholds.widen(more)

    @property
    def has_looked(self):
        """Whether all that `fit` takes from images before it trains was taken."""
        return True

    def forget_first_look(self):
        """Gives up what was taken from images that were not trained on after all."""

    def look_back(self, batches, steps):
        """Takes from the images what only a trained model can say; here nothing.

        Args:
            batches: What `training_batches` returned.
            steps: Batches of an epoch; None for all of a pass.
        """

    def storing_more(self):
        """A context in which `fit` adds to what is stored, and replaces nothing."""
        raise NotImplementedError(f"{type(self).__name__} stores nothing to add to.")

    def forget_compiled_functions(self):
        """Has Keras make them anew: shapes of weights may be others than they know."""
        self.train_function = self.test_function = self.predict_function = None

    def run(self, method, batches, **kwargs):
        """Calls a method of Keras on batches; the model stays whole if they fail.

        Args:
            method: Keras' `fit` or `predict` of this model.
            batches: `HostBatches`.
            **kwargs: Its other arguments.
        """
        self.follow_distribution()
        with self.scope(), warnings.catch_warnings():
            # Keras warns when data of unknown length ends, as it must.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            held = values_to_restore(self)
            try:
                return method(batches, **kwargs)
            except BaseException:
                restore_values(self, held)
                # TensorFlow wraps what the host's generator raised in its own words.
                if batches.error is not None:
                    raise batches.error from None
                raise

    def infer_resized(self, images, where=None):
        """What `call` says of a batch of resized images, without looking at values.

        And without decisions, which `thresholds.complete` adds.

        Args:
            images: float32 array (batch, height, width, 3), RGB in 0-255.
            where: Dict of arrays that `WhereToLook` returned of them, or None.

        Returns:
            Dict of arrays: "anomaly_map", "anomaly_score" and, of methods that have
            them, "image_features".
        """
        return infer_resized(self, super().predict_on_batch, images, where or {})
