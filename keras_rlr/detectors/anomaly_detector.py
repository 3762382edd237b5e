import json

from keras_rlr.detectors.calibration import calibrate
from keras_rlr.detectors.detector_model import DetectorModel
from keras_rlr.detectors.evaluation_pass import evaluate_source
from keras_rlr.detectors.inference import completed, infer_batches, infer_parts
from keras_rlr.detectors.training_pass import one_training_batch, train
from keras_rlr.inputs.first_batches import finite_source
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.inputs.training_batches import TrainingBatches

INFERENCE_BATCH = 16


class AnomalyDetector(DetectorModel):
    """What every detector is: any kind of images in; maps, scores and decisions out.

    A method is a subclass. Its constructor makes all of its layers in `with
    self.scope()`, a `Preprocessor` among them (`preprocessor`), and ends with
    `self.compile()`. Its `call` takes images, or the dicts of batches that
    `TrainingBatches` and `PredictionBatches` make, and returns a dict of float32
    tensors: "anomaly_map" (batch, height, width) and "anomaly_score"
    (batch,); in training, and where a batch has a "weight", "loss" (batch,); where it
    has "describe", "image_features" (batch, C), by which products can be told apart.

    Args:
        **kwargs: See `DetectorModel`.
    """

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=None,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
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
            batch_size: For data that is not batched; see `default_batch_size`.
            epochs: By default as many as the recipe's steps and epochs ask for; its
                epochs, with a warning, where data does not say how long it is.
            verbose: As in Keras.
            callbacks: As in Keras.
            validation_split: Share of indexed data that is kept apart, its last images,
                and evaluated after every epoch in place of `validation_data`.
            validation_data: Data for `evaluate` after every epoch, `(images, labels)`
                too; gives `val_loss`, and `val_image_auroc` and so on where there are
                labels. Nothing is selected by it unless a callback does.
            shuffle: Whether indexed data is shuffled.
            class_weight: Refused: there is one class in training.
            sample_weight: Must be 1 everywhere, or None.
            initial_epoch: As in Keras, to go on with a training.
            steps_per_epoch: As in Keras; needed for endless data.
            validation_steps: The same for `validation_data`.
            validation_batch_size: As `batch_size`, for validation.
            validation_freq: As in Keras: every so many epochs, or a list of them.
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
        size = self.default_batch_size if batch_size is None else batch_size
        return train(
            self,
            ImageSource(x, size, y, sample_weight),
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
            feature_cache=feature_cache,
        )

    def fit_batches(
        self, batches, epochs, verbose, callbacks, initial_epoch, steps_per_epoch
    ):
        """Trains on batches that are ready; a method may do otherwise than Keras.

        Args:
            batches: What `training_batches` returned.
            epochs: As of Keras' `fit`, as are all that follow.
            verbose: See `epochs`.
            callbacks: See `epochs`.
            initial_epoch: See `epochs`.
            steps_per_epoch: See `epochs`.
        """
        return super().fit(
            batches,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
        )

    def training_batches(self, source, feature_cache, steps_per_epoch, **order):
        """Returns what a training reads, after getting ready for it.

        Args:
            source: An `ImageSource`.
            feature_cache: What `fit` was given.
            steps_per_epoch: What `fit` was given.
            **order: Arguments of `TrainingBatches`.

        Raises:
            ValueError: If there is to be a cache, and no frozen features.
        """
        self.refuse_cache(feature_cache)
        return TrainingBatches(
            source, self.image_size, bit_depth=self.bit_depth, **order
        )

    def refuse_cache(self, feature_cache):
        """Refuses a cache where there are no frozen features.

        Args:
            feature_cache: What `fit` was given.
        """
        if feature_cache is not None:
            raise ValueError(
                f"{type(self).__name__} has no frozen features that could be kept. "
                "Train without `feature_cache`."
            )

    def predict(
        self,
        x,
        batch_size=None,
        verbose="auto",
        steps=None,
        callbacks=None,
        original_size=None,
    ):
        """Returns anomaly maps and scores of images.

        Args:
            x: Images, any kind of data that `fit` takes. Labels don't matter.
            batch_size: For data that is not batched.
            verbose: As in Keras.
            steps: Number of batches; needed for endless data.
            callbacks: As in Keras.
            original_size: Whether each map is resized to its image's size; by default
                where the model looks at tiles.

        Returns:
            Dict: "anomaly_map", float32 array (images, height, width), or a
            list of arrays (height, width) with `original_size`; "anomaly_score",
            float32 array (images,); once calibrated "is_anomalous", bool (images,):
            whether the score reaches the threshold, that of its category for elements
            that are dicts with a "category" the model knows. What it does not know is
            as if none were given, with a warning if it knows any. An image whose score
            is NaN is anomalous, with a warning. If the model was calibrated on several
            products and can tell them apart, also "category", int32 (images,), the
            place of the product in `known_categories`, or -1 where an image shows none
            of them, which makes it anomalous; and "comparable_score", float32
            (images,): by how many spreads of its product's normal images the score
            lies above their mean. The threshold is then that of the product.

        Raises:
            ValueError: If data is not readable, or the model has to be trained first.
        """
        asked = {"with_description": True, "look": self.where_to_look()}
        batches = self.inference_batches("predict", x, batch_size, steps, **asked)
        outputs = self._infer(batches, verbose=verbose, callbacks=callbacks)
        return completed(self, outputs, batches, original_size)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        exact=None,
    ):
        """Returns the loss and the figures of a test set, of all images together.

        Args:
            x: Data whose elements are dicts with "image" and optionally "label" (0
                normal, any other whole number anomalous) and "mask" (height, width),
                of any size: above 0 is anomalous, of normal images nothing; or tuples
                `(image, label)`. What can't be a label (text, fractions) is refused.
            y: Labels of data with a length and an index, (images,) or (images, 1).
            batch_size: For data that is not batched.
            verbose: Whether to show a progress bar.
            sample_weight: Must be 1 everywhere, or None.
            steps: Number of batches; needed for endless data.
            callbacks: As in Keras.
            return_dict: Whether to return a dict instead of a list.
            exact: Whether the figures of pixels are exact, which keeps all maps, or
                counted in bins of 1/2048 of a value. By default they are exact up to
                as many pixels as 4096 maps of 256x256 have.

        Returns:
            "loss", and where all images have labels "image_auroc", "image_ap",
            "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max" and
            "pixel_aupro", in this order. Those of pixels are NaN, with a warning,
            unless all anomalous images have masks; normal ones need none.

        Raises:
            ValueError: If the data, a label or a mask is not usable.
            FloatingPointError: If a score is not a finite number.
        """
        source = self._inference_source(
            "evaluate", x, batch_size, steps, y, sample_weight
        )
        results = evaluate_source(self, source, exact, verbose, callbacks)
        return results if return_dict else list(results.values())

    def calibrate(
        self,
        x,
        false_positive_rate=0.01,
        batch_size=None,
        steps=None,
        training_images=None,
    ):
        """Sets thresholds from normal images that were not trained on.

        A threshold is the ⌈(n + 1)(1 - rate)⌉-th smallest of n scores, and a margin
        above it (a ten-thousandth of it in float32), so that rounding decides nothing.
        There is one of all images, and one of each category that has images enough. Of
        categories with fewer, all scores together, each standardised by the mean and
        spread of its category, give it, if the model can tell them apart: that it
        learns from images with categories, see `predict`. `pixel_threshold` is taken so
        from the largest value of each map. The file has all; training forgets it.

        Args:
            x: Normal images, any kind of data that `fit` takes. Elements that are
                dicts with a "category" give thresholds by category too; without any,
                categories that the model knows by now are recognised.
            false_positive_rate: Share of new normal images called anomalous.
            batch_size: For data that is not batched.
            steps: Number of batches; needed for endless data.
            training_images: Some of each category that it was trained on: what these
                look like is taken from them, else from `x`. Their scores don't count.

        Returns:
            The threshold of all images together, a Python float.

        Raises:
            ValueError: If there are too few images for the rate; it names how many.
                If an element is anomalous.
            FloatingPointError: If a score is not a finite number.
        """
        source = self._inference_source("calibrate", x, batch_size, steps)
        training_source = None
        if training_images is not None:
            training_source = self._inference_source(
                "calibrate", training_images, batch_size
            )
        return calibrate(self, source, false_positive_rate, training_source)

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict=False
    ):
        """Takes one step on a batch of normal images, and forgets the thresholds.

        Args:
            x: Images, as for `fit`; all of them are one batch.
            y: Labels, which must be 0, or None.
            sample_weight: Must be 1 everywhere, or None.
            class_weight: Refused: there is one class in training.
            return_dict: Whether to return a dict instead of a number.

        Returns:
            The mean loss since the metrics were reset, as in Keras.
        """
        batch = one_training_batch(self, x, y, sample_weight, class_weight)
        self.thresholds.forget()
        with self.scope():
            results = super().train_on_batch(batch, return_dict=True)
        return results if return_dict else results["loss"]

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """As `evaluate`, of images that are all one batch.

        Args:
            x: Images, as for `evaluate`.
            y: Labels, or None.
            sample_weight: Must be 1 everywhere, or None.
            return_dict: Whether to return a dict instead of a list.
        """
        return self.evaluate(
            x, y, verbose=0, sample_weight=sample_weight, return_dict=return_dict
        )

    def predict_on_batch(self, x):
        """As `predict`, without a word.

        Args:
            x: Images, as for `predict`.
        """
        return self.predict(x, verbose=0)

    def export(self, filepath, format="saved_model", verbose=False, **options):
        """Writes the model for use without this package, and compares the two.

        Args:
            filepath: See `keras_rlr.export.export_model`.
            format: "saved_model", "litert", "onnx" or "openvino".
            verbose: Whether to print how far the export agrees.
            **options: `quantize`, `images`, `categories`, `evaluation` of the same.

        Returns:
            The manifest, a dict.
        """
        # Upwards, and therefore late: that the model has the method is Keras' way.
        from keras_rlr.export import export_model

        manifest = export_model(self, filepath, format, **options)
        if verbose:
            print(json.dumps(manifest["comparison"], indent=2))
        return manifest

    @property
    def needs_adapting(self):
        """Whether it takes statistics of normal images and has none yet."""
        return False

    def check_ready(self):
        """Refuses to infer before all that it takes is there."""

    def infer_parts(self, source, **options):
        """Yields (batches, outputs) of parts of a data set, in bounded memory.

        Args:
            source: An `ImageSource` or `FirstBatches`.
            **options: See `keras_rlr.detectors.inference.infer_parts`.
        """
        return infer_parts(self, self._infer, source, **options)

    def inference_batches(self, purpose, x, *args, **options):
        """Returns `PredictionBatches` of any kind of data.

        Args:
            purpose: What they are for: "predict".
            x: See `predict`.
            *args: `batch_size` and `steps`, see `predict`.
            **options: Arguments of `PredictionBatches`.
        """
        return PredictionBatches(
            self._inference_source(purpose, x, *args),
            self.map_size,
            **self.places,
            bit_depth=self.bit_depth,
            value_ranges=getattr(x, "value_ranges", None),
            **options,
        )

    def _inference_source(self, purpose, x, batch_size=None, steps=None, *labels):
        self.check_ready()
        size = self.inference_batch if batch_size is None else batch_size
        return finite_source(purpose, x, size, steps, *labels)

    def _infer(self, batches, **kwargs):
        return infer_batches(self, super().predict, batches, **kwargs)
