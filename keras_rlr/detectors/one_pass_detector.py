import itertools

import keras
import numpy as np
from keras import ops

from keras_rlr.detectors.feature_detector import FeatureDetector
from keras_rlr.detectors.feature_extractor import extract_by_image
from keras_rlr.detectors.recipe import Recipe
from keras_rlr.inputs.cached_batches import feature_name

ONE_PASS = Recipe("default", epochs=1, batch_size=8, learning_rate=1e-3)


class OnePassDetector(FeatureDetector):
    """A detector that is fitted by one look at each image, and has no gradients.

    A subclass defines `begin_pass`, `take_in` and `end_pass`.

    Args:
        **kwargs: See `FeatureDetector`.
    """

    # Features are computed once as it is.
    profits_from_cache = False
    has_steps = False

    def __init__(self, **kwargs):
        super().__init__(recipe=ONE_PASS, **kwargs)

    def begin_pass(self):
        """Forgets what an earlier pass left behind."""
        raise NotImplementedError(f"{type(self).__name__} must define `begin_pass`.")

    def take_in(self, features):
        """Learns from the features of some images.

        Args:
            features: List of float32 tensors (images, H, W, C), one a level,
                standardised if the model does so.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `take_in`.")

    def end_pass(self):
        """Ends the pass; what was learned is now in the weights.

        Returns:
            The loss, a float: how well the images fit.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `end_pass`.")

    def variants(self, images):
        """Yields the images, and others made of them if the model learns from such.

        Args:
            images: float32 array (images, height, width, 3).
        """
        yield images

    def fit_batches(
        self, batches, epochs, verbose, callbacks, initial_epoch, steps_per_epoch
    ):
        """Looks at each image once.

        Args:
            batches: `TrainingBatches`.
            epochs: Must be 1.
            verbose: As in Keras.
            callbacks: As in Keras.
            initial_epoch: Must be 0.
            steps_per_epoch: As in Keras.

        Raises:
            ValueError: If there is to be more than one epoch.
        """
        if (epochs, initial_epoch) != (1, 0):
            raise ValueError(
                f"{type(self).__name__} looks at each image once: more epochs change "
                f"nothing. Received epochs={epochs}, initial_epoch={initial_epoch}; "
                "leave both out."
            )
        steps = steps_per_epoch or batches.num_batches
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            verbose=1 if verbose == "auto" else verbose,
            epochs=1,
            steps=steps,
            model=self,
        )
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        self.begin_pass()
        extract = extract_by_image(self)
        done = 0
        for (batch,) in itertools.islice(batches.generate(), steps_per_epoch):
            callbacks.on_train_batch_begin(done)
            for features in self._features(batch, extract):
                _refuse_not_finite(features)
                features = [ops.convert_to_tensor(level) for level in features]
                self.take_in(self.standardize(features))
            done += 1
            callbacks.on_train_batch_end(done - 1)
        logs = {"loss": float(self.end_pass())}
        self.optimizer.iterations.assign_add(done)
        self.forget_compiled_functions()
        callbacks.on_epoch_end(0, logs)
        callbacks.on_train_end(logs)
        return self.history

    def _features(self, batch, extract):
        real = int(np.sum(batch["weight"] > 0))
        if "image" in batch:
            for images in self.variants(batch["image"][:real]):
                yield extract(images)
            return
        names = map(feature_name, range(len(self.levels)))
        yield [batch[name][:real].astype("float32") for name in names]

    def forget_compiled_functions(self):
        """Has Keras make them anew: shapes of weights may be others than they know."""
        self.train_function = self.test_function = self.predict_function = None

    def train_on_batch(self, *args, **kwargs):
        """Refused: it is not trained by steps.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"{type(self).__name__} is not trained by steps, so `train_on_batch` has "
            "no meaning. Call fit(images): one pass over all of them."
        )


def _refuse_not_finite(features):
    if not all(np.isfinite(level).all() for level in features):
        raise FloatingPointError(
            "The backbone's features of some training images are not finite numbers, "
            "so nothing can be compared with them. Check the backbone's weights and, "
            "in 16 bits, its range."
        )
