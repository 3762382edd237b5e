import itertools

import keras

from keras_rlr.detectors.feature_detector import FeatureDetector
from keras_rlr.detectors.feature_extractor import extract_by_image
from keras_rlr.detectors.recipe import Recipe
from keras_rlr.keras_private import step_count

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

    def take_in(self, features, tiles=None):
        """Learns from the features of some images.

        Args:
            features: List of float32 tensors (images, H, W, C), one a level,
                standardised if the model does so.
            tiles: int array (images,): which tile of an image each is, where that is
                to be known; else None.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `take_in`.")

    def end_pass(self):
        """Ends the pass; what was learned is now in the weights.

        Returns:
            The loss, a float: how well the images fit.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `end_pass`.")

    def fit_batches(
        self, batches, epochs, verbose, callbacks, initial_epoch, steps_per_epoch
    ):
        """Looks at each image once.

        Args:
            batches: `TrainingBatches`.
            epochs: 1, all else was refused.
            verbose: As in Keras.
            callbacks: As in Keras.
            initial_epoch: 0, all else was refused.
            steps_per_epoch: As in Keras.
        """
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
        # One look is quick: every process has one at all images.
        whole = batches.generate(whole=True)
        for (batch,) in itertools.islice(whole, steps_per_epoch):
            callbacks.on_train_batch_begin(done)
            tiles = batch["tile"][batch["weight"] > 0] if "tile" in batch else None
            for features in self.features_in(batch, extract):
                self.take_in(features, tiles)
            done += 1
            callbacks.on_train_batch_end(done - 1)
        logs = {"loss": float(self.end_pass())}
        step_count(self.optimizer).assign_add(done)
        self.forget_compiled_functions()
        callbacks.on_epoch_end(0, logs)
        callbacks.on_train_end(logs)
        return self.history

    def train_on_batch(self, *args, **kwargs):
        """Refused: it is not trained by steps.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"{type(self).__name__} is not trained by steps, so `train_on_batch` has "
            "no meaning. Call fit(images): one pass over all of them."
        )
