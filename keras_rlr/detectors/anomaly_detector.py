import warnings

import keras
from keras import ops

from keras_rlr.detectors.distribution import device_count, distribution_scope
from keras_rlr.detectors.evaluation_pass import evaluate_source
from keras_rlr.detectors.feature_cache import FeatureCache
from keras_rlr.detectors.feature_passes import adapt_to, extract, reconstruct
from keras_rlr.detectors.jax_values import give_back, hold_values
from keras_rlr.detectors.loading import load_preset
from keras_rlr.detectors.training_callbacks import EpochOrder, StopAtNan, Validation
from keras_rlr.inputs.endless import refuse_endless
from keras_rlr.inputs.first_batches import finite_source
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.images import check_bits
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.inputs.resize import resize_maps
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.training_batches import TrainingBatches
from keras_rlr.inputs.value_ranges import ValueRanges
from keras_rlr.methods.rlr.compact_copy import compact_copy

_MOST_IMAGES_TO_ADAPT_ON = 512
_INFERENCE_BATCH = 16


class AnomalyDetector(keras.Model):
    """What RLR does on the host: any kind of data in, plain arrays out.

    The network itself is in the subclass, which gives `feature_extractor`,
    `standardizations`, `standardize`, `rebuild`, `thresholds` and the
    constructor's settings.
    """

    # Names of the products that the model saw in training, as far as the data says.
    trained_categories = ()

    @property
    def bit_depth(self):
        """Bits that a value of uint16 images has; None is 16."""
        return self.feature_extractor.preprocessor.bit_depth

    @bit_depth.setter
    def bit_depth(self, bits):
        self.feature_extractor.preprocessor.bit_depth = check_bits(bits)

    @property
    def device_count(self):
        """Number of devices that share a batch."""
        return device_count(self.distribution)

    @property
    def needs_adapting(self):
        """Whether statistics of the features are used but were never taken."""
        uses = self.standardize_features or self.cosine_damping > 0
        return uses and not all(layer.is_adapted for layer in self.standardizations)

    @property
    def threshold(self):
        """The score from which on an image is anomalous, or None before `calibrate`."""
        return self.thresholds.threshold

    @classmethod
    def from_preset(cls, preset, **overrides):
        """Returns the model of a name, or one that was saved.

        Args:
            preset: A name in `keras_rlr.methods.rlr.presets.PRESETS`, the path of a
                `.keras` file, or of a folder with a `model.keras` in it.
            **overrides: Arguments of `RLR` that replace the preset's. A saved model
                takes only `distribution`.

        Raises:
            ValueError: If there is no such preset, or a saved model can't be loaded.

        Example:

        >>> model = keras_rlr.RLR.from_preset("rlr_efficientnet_lite2", seed=0)
        """
        return load_preset(cls, preset, **overrides)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=None,
        verbose="auto",
        callbacks=None,
        validation_data=None,
        shuffle=True,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        feature_cache=None,
    ):
        """Trains on normal images, of one product or of many.

        The order of indexed data is a pure function of (seed, epoch), the noise of
        (seed, step, position in the batch).

        Args:
            x: Images of any sizes, uint8, uint16 or float in 0-255: an array, a list,
                a tf.data.Dataset, a PyDataset, a torch DataLoader or any sequence;
                elements may be dicts with "image" or tuples `(image, label)`, whose
                label must be 0, normal. A list is a batch of images, a tuple never.
                An image paired with itself counts once, without a label; a third
                part, Keras' sample weight, must be 1; all else is refused.
            y: Labels of data with a length and an index, (images,) or (images, 1);
                they must be 0.
            batch_size: For data that is not batched; the recipe's by default.
            epochs: By default as many as the recipe's steps and epochs ask for; its
                epochs, with a warning, where data does not say how long it is.
            verbose: As in Keras.
            callbacks: As in Keras.
            validation_data: Data for `evaluate` after every epoch, `(images, labels)`
                too; gives `val_loss`, and `val_image_auroc` and so on where there are
                labels. Nothing is selected by it unless a callback does.
            shuffle: Whether indexed data is shuffled.
            initial_epoch: As in Keras, to go on with a training.
            steps_per_epoch: As in Keras; needed for endless data.
            validation_steps: The same for `validation_data`.
            feature_cache: `"memory"`, a folder or a `FeatureCache`: the frozen
                backbone then runs once an image and not once an epoch. For data that
                is the same in every pass.

        Returns:
            Keras' `History`.

        Raises:
            ValueError: If the data is not readable, not normal or not of images in
                0-255; if it is endless or random and was to be cached.
            FloatingPointError: If the loss becomes NaN or infinite.
        """
        if self.is_compact:
            raise ValueError(
                "A compact model is for inference: what was folded can't be trained. "
                "Train the model that `compact()` was called on."
            )
        source = ImageSource(x, batch_size or self.recipe.batch_size, y)
        own_callbacks = []
        if validation_data is not None:
            own_callbacks.append(Validation(validation_data, validation_steps))
        order = {
            "seed": self.seed,
            "first_epoch": initial_epoch,
            "first_step": int(ops.convert_to_numpy(self.optimizer.iterations)),
            "shuffle": shuffle,
            "devices": self.device_count,
        }
        if feature_cache is None:
            if steps_per_epoch is None:
                refuse_endless(source, "an epoch", "steps_per_epoch")
            batches = TrainingBatches(
                source, self.image_size, bit_depth=self.bit_depth, **order
            )
            if self.needs_adapting:
                self._adapt_to_images(ImageSource(x, _INFERENCE_BATCH, y))
        else:
            cache = FeatureCache.of(feature_cache)
            batches = cache.batches(self, source, steps_per_epoch, **order)
            if self.needs_adapting:
                adapt_to(self, batches.features(_MOST_IMAGES_TO_ADAPT_ON))
        self.thresholds.forget()
        with distribution_scope(self.distribution):
            self.optimizer.build(self.trainable_variables)
        steps = steps_per_epoch or batches.num_batches
        own_callbacks[:0] = [StopAtNan(), EpochOrder(batches)]
        history = self._run(
            super().fit,
            batches,
            epochs=self.recipe.epochs_for(steps) if epochs is None else epochs,
            verbose=verbose,
            callbacks=[*own_callbacks, *keras.tree.flatten(callbacks or [])],
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
        )
        seen = {*self.trained_categories, *batches.categories}
        self.trained_categories = tuple(sorted(seen))
        return history

    def predict(
        self,
        x,
        batch_size=None,
        verbose="auto",
        steps=None,
        callbacks=None,
        original_size=False,
    ):
        """Returns anomaly maps and scores of images.

        Args:
            x: Images, any kind of data that `fit` takes. Labels don't matter.
            batch_size: For data that is not batched.
            verbose: As in Keras.
            steps: Number of batches; needed for endless data.
            callbacks: As in Keras.
            original_size: Whether each map is resized to its image's size.

        Returns:
            Dict: "anomaly_map", float32 array (images, image_size, image_size), or a
            list of arrays (height, width) with `original_size`; "anomaly_score",
            float32 array (images,); once calibrated "is_anomalous", bool (images,):
            whether the score reaches the threshold, that of its category for elements
            that are dicts with a "category" the model has one for. An image whose score
            is NaN is anomalous, with a warning.

        Raises:
            ValueError: If the data is not readable, or the model was never trained
                and needs statistics of normal images.
        """
        batches = self._inference_batches("predict", x, batch_size, steps)
        outputs = self._infer(batches, verbose=verbose, callbacks=callbacks)
        if self.threshold is not None:
            outputs["is_anomalous"] = self.thresholds.decide(
                outputs["anomaly_score"], batches.categories
            )
        if original_size:
            outputs["anomaly_map"] = resize_maps(outputs["anomaly_map"], batches.sizes)
        return outputs

    def infer_squares(self, images):
        """Maps and scores of one batch of images that are resized already.

        Without what Keras prepares in every `predict`, and without looking at the
        values.

        Args:
            images: float32 array (batch, image_size, image_size, 3), RGB in 0-255.

        Returns:
            Dict of arrays: "anomaly_map" and "anomaly_score".
        """
        if self.distribution is None:
            return super().predict_on_batch(images)
        looked_at = ValueRanges(16)
        resized = [ResizedImage(image, image.shape, looked_at) for image in images]
        return self.predict(resized, batch_size=len(resized), verbose=0)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        steps=None,
        callbacks=None,
        return_dict=False,
        exact=None,
    ):
        """Returns the loss and the figures of a test set, of all images together.

        Args:
            x: Data whose elements are dicts with "image" and optionally "label" (0
                normal, any other whole number anomalous) and "mask" (height, width),
                of any size: above 0 is anomalous; or tuples `(image, label)`. What
                can't be a label (one-hot, text, fractions, images) is refused.
            y: Labels of data with a length and an index, (images,) or (images, 1).
            batch_size: For data that is not batched.
            verbose: Whether to show a progress bar.
            steps: Number of batches; needed for endless data.
            callbacks: As in Keras; they see the batches as those of `predict`.
            return_dict: Whether to return a dict instead of a list.
            exact: Whether the figures of pixels are exact, which keeps all maps, or
                counted in bins of 1/2048 of a value. By default up to 4096 maps are.

        Returns:
            "loss", and where all images have labels "image_auroc", "image_ap",
            "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max" and
            "pixel_aupro" (NaN with a warning without masks), in this order.
        """
        source = self._inference_source("evaluate", x, batch_size, steps, y)

        def infer(batches):
            return self._infer(batches, verbose=0, callbacks=callbacks)

        results = evaluate_source(self, source, infer, exact, verbose)
        return results if return_dict else list(results.values())

    def calibrate(self, x, false_positive_rate=0.01, batch_size=None, steps=None):
        """Sets thresholds from normal images that were not trained on.

        A threshold is the ⌈(n + 1)(1 - rate)⌉-th smallest of n scores, and a margin
        above it (a ten-thousandth of it in float32), so that rounding decides nothing.
        There is one of all images, and one of each category that has images enough.
        They are saved with the model, and forgotten when it is trained again.

        Args:
            x: Normal images, any kind of data that `fit` takes. Elements that are
                dicts with a "category" give thresholds by category too.
            false_positive_rate: Share of new normal images called anomalous.
            batch_size: For data that is not batched.
            steps: Number of batches; needed for endless data.

        Returns:
            The threshold of all images together, a Python float.

        Raises:
            ValueError: If there are too few images for the rate; it names how many.
                If an element is anomalous.
            FloatingPointError: If a score is not a finite number.
        """
        batches = self._inference_batches(
            "calibrate", x, batch_size, steps, normal_only=True
        )
        scores = self._infer(batches, verbose=0)["anomaly_score"]
        return self.thresholds.calibrate(
            scores, batches.categories, false_positive_rate, self.compute_dtype
        )

    def compact(self):
        """Returns a copy for inference, without what depends on no image.

        The reference, its embedding and the projections that read nothing else are
        gone; their results are in their place, so they are computed no more. Maps,
        scores and thresholds are the same. The copy can't be trained.

        Example:

        >>> model = keras_rlr.RLR(backbone="efficientnet_lite2", levels=(3,), seed=0)
        >>> model.compact().is_compact
        True
        """
        return compact_copy(self)

    def adapt(self, x, batch_size=None, steps=None):
        """Takes mean and variance of the features from normal images.

        `fit` does it once, the first time a model is trained; a later call replaces
        the statistics.

        Args:
            x: Normal images, any kind of data that `fit` takes. At most 512 are used:
                drawn by the seed from data with a length and an index, else the first.
            batch_size: For data that is not batched.
            steps: Number of batches; needed for endless data.
        """
        batch_size = batch_size or _INFERENCE_BATCH
        self._adapt_to_images(finite_source("adapt", x, batch_size, steps))

    def _adapt_to_images(self, source):
        batches = PredictionBatches(
            source,
            self.image_size,
            max_images=_MOST_IMAGES_TO_ADAPT_ON,
            order_seed=(self.seed, 0),
            purpose="adapt to",
            normal_only=True,
            bit_depth=self.bit_depth,
        )
        features = (self.feature_extractor(images) for _, images in batches.images())
        adapt_to(self, features)

    def extract_features(self, images):
        """Returns the features that the model rebuilds.

        Args:
            images: Images, any kind of data that `predict` takes.

        Returns:
            List of float32 arrays (images, H, W, C), one a level, fine to coarse;
            averaged over 3x3 tokens and, if the model does so, standardised.
        """
        return extract(self, self._inference_batches("extract features", images))

    def reconstruct(self, features):
        """Returns what the model rebuilds of features, without noise.

        Args:
            features: List of arrays (images, H, W, C), as from `extract_features`.

        Returns:
            List of float32 arrays of the same shapes.

        Raises:
            ValueError: If the number of levels or a shape is another.
        """
        return reconstruct(self, features, _INFERENCE_BATCH)

    def _inference_source(self, purpose, x, batch_size=None, steps=None, y=None):
        if self.needs_adapting:
            raise ValueError(
                "This model standardises its features and has not seen normal images "
                "yet. Call fit(train_ds), or adapt(train_ds), first."
            )
        return finite_source(purpose, x, batch_size or _INFERENCE_BATCH, steps, y)

    def _inference_batches(self, purpose, x, *args, **options):
        return PredictionBatches(
            self._inference_source(purpose, x, *args),
            self.image_size,
            devices=self.device_count,
            bit_depth=self.bit_depth,
            value_ranges=getattr(x, "value_ranges", None),
            **options,
        )

    def _infer(self, batches, **kwargs):
        outputs = self._run(super().predict, batches, **kwargs)
        return {name: batches.strip(values) for name, values in outputs.items()}

    def _run(self, method, batches, **kwargs):
        with distribution_scope(self.distribution), warnings.catch_warnings():
            # Keras warns when data of unknown length ends, as it must.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            held = hold_values(self)
            try:
                return method(batches, **kwargs)
            except BaseException:
                give_back(self, held)
                # TensorFlow wraps what the host's generator raised in its own words.
                if batches.error is not None:
                    raise batches.error from None
                raise
