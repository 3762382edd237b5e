"""What `fit` adds to the user's callbacks."""

import math
import numbers
import threading

import keras

from keras_rlr.checked_numbers import whole_number
from keras_rlr.inputs.endless import refuse_endless
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.keras_private import step_count


class StopAtNan(keras.callbacks.Callback):
    """Ends a training with an error at the first loss that is no finite number.

    Args:
        passed_over: Batches of the first epoch that were trained on before.

    Raises:
        FloatingPointError: Naming epoch and step.
    """

    # Nothing here waits for a step's result in the thread that starts the next one.
    async_safe = True

    def __init__(self, passed_over=0):
        super().__init__()
        self._before = passed_over

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the epoch, for the message."""
        self._epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        """Counts the next epoch from its begin."""
        self._before = 0

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the mean loss of the epoch so far, which keeps a NaN."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The training diverged: the loss is {loss} after step "
                f"{self._before + batch + 1} of epoch {self._epoch + 1}, and the "
                "model's weights are of no use any more. Train anew with a lower "
                "learning rate, or in float32 if the model computes in 16 bits."
            )


def learning_rate_of(model):
    """Returns the learning rate of a model's optimizer, on one device or several.

    Args:
        model: The detector.
    """
    # What TensorFlow mirrors is no number for Python.
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def steps_taken(model):
    """Returns how many steps a model's optimizer has taken, or gathered gradients in.

    Args:
        model: The detector.
    """
    return int(keras.ops.convert_to_numpy(step_count(model.optimizer)))


class EpochOrder(keras.callbacks.Callback):
    """Tells the batches which epoch they are for, and counts the steps.

    On TensorFlow, where data of unknown length ends by a step that finds none, that
    step still advances the optimizer's count, on which Adam's correction and the
    noise depend.
    """

    async_safe = True

    def __init__(self, batches):
        super().__init__()
        self.batches = batches
        self._steps = 0
        self._lock = threading.Lock()

    def on_train_begin(self, logs=None):
        """Notes where the optimizer stands."""
        self._steps = 0
        if keras.backend.backend() == "tensorflow":
            self._first_step = steps_taken(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the epoch, and the step, which a callback may have set back."""
        self.batches.begin_epoch(epoch, steps_taken(self.model))

    def on_train_batch_end(self, batch, logs=None):
        """Counts a step that had data."""
        with self._lock:
            self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        """Takes back what the step without data counted."""
        if (
            keras.backend.backend() == "tensorflow"
            and self.batches.num_batches is None
            and self.model.steps_per_execution == 1
        ):
            taken = self._first_step + self._steps
            step_count(self.model.optimizer).assign(taken)


class RateOfEpoch(keras.callbacks.Callback):
    """Trains each epoch with the share of the learning rate that its recipe says.

    Between epochs the optimizer has the whole rate, so checkpoints do too.

    Args:
        recipe: The `Recipe`.
        epochs: How many epochs there will be.
    """

    async_safe = True

    def __init__(self, recipe, epochs):
        super().__init__()
        self.recipe = recipe
        self.epochs = epochs
        self._whole = None

    def on_epoch_begin(self, epoch, logs=None):
        """Lowers the rate."""
        self._whole = learning_rate_of(self.model)
        share = self.recipe.rate_share(epoch, self.epochs)
        self.model.optimizer.learning_rate = share * self._whole

    def on_epoch_end(self, epoch=None, logs=None):
        """Gives the rate back; to be called too where a training breaks off."""
        if self._whole is not None:
            self.model.optimizer.learning_rate = self._whole
        self._whole = None


class Validation(keras.callbacks.Callback):
    """Evaluates after every epoch and adds the results to its logs, as `val_…`.

    Keras' own validation would ask for a model that returns its metrics from a
    traced step, which AUROC over all images can't be.

    Args:
        data: What `evaluate` takes, also `(images, labels)`.
        steps: Number of batches, or None for all.
        batch_size: For data that is not batched.
        frequency: Every so many epochs, or the numbers of those epochs.
        callbacks: Those of the training, which are told of the validation, as in Keras.

    Raises:
        ValueError: If the data can't be read, or `steps` is below 1, or None of data
            that is endless.
    """

    def __init__(self, data, steps=None, batch_size=None, frequency=1, callbacks=()):
        super().__init__()
        # Without a model, which they were given: TensorBoard would begin anew.
        self.callbacks = keras.callbacks.CallbackList(callbacks)
        self.source = ImageSource.of(data, 1 if batch_size is None else batch_size)
        self.steps = steps
        self.frequency = frequency
        if not isinstance(frequency, list | tuple | set | range):
            self.frequency = whole_number(
                *("validation_freq", frequency, 1),
                of="epochs",
                otherwise=", or those epochs' numbers",
            )
        if steps is not None:
            self.steps = whole_number(
                *("validation_steps", steps, 1),
                of="batches",
                otherwise=", or None for all",
            )
        else:
            refuse_endless(self.source, "the validation", "validation_steps")

    def on_epoch_end(self, epoch, logs=None):
        """Evaluates."""
        if isinstance(self.frequency, numbers.Integral):
            is_due = (epoch + 1) % self.frequency == 0
        else:
            is_due = epoch + 1 in self.frequency
        if not is_due:
            return
        results = self.model.evaluate(
            self.source,
            verbose=0,
            steps=self.steps,
            callbacks=self.callbacks,
            return_dict=True,
        )
        logs.update({f"val_{name}": value for name, value in results.items()})
