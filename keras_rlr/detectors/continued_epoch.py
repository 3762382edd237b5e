from typing import Any

import keras

# Ends the epoch where anything that is true would; it is no wish to end the training.
_END_OF_EPOCH = "end of the epoch"


class ContinuedEpoch(keras.callbacks.Callback):
    """Goes on inside of the first epoch of a `fit`, as if it had never been stopped.

    Given to a detector's `fit` with the `initial_epoch`, it has the first batches
    passed over: nothing of them is computed, nor read where data has an index. The
    callbacks of the epoch count from 0 nevertheless. For epochs that are whole passes.

    Args:
        batch: Batches of the epoch that were trained on before, at least 1.
        step: The step that the noise of the next one is drawn for.
        metrics: Values of `model.metrics_variables` after them, as lists or numbers.
        learning_rate: Of the optimizer, after them; the model's own is that between
            two epochs.
    """

    async_safe = True

    def __init__(self, batch, step, metrics, learning_rate):
        super().__init__()
        self.batch = batch
        self.step = step
        self.metrics = metrics
        self.learning_rate = learning_rate
        self.batches: Any = None
        self._is_inside = True

    def go_on_in(self, batches, steps_per_epoch):
        """Says what is trained on; `fit` does.

        Args:
            batches: `TrainingBatches` that pass over the first ones.
            steps_per_epoch: What `fit` was given.

        Raises:
            ValueError: If the epoch has no such batch, or is not a pass over the data.
        """
        if steps_per_epoch is not None:
            raise ValueError(
                "A training goes on inside of an epoch where that is a pass over the "
                "data. Leave `steps_per_epoch` out."
            )
        count = batches.num_batches
        if count is not None and not 0 < self.batch < count:
            raise ValueError(
                f"An epoch of {count} batches can't go on after {self.batch} of them."
            )
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        """Brings back what the batches before have left."""
        if not self._is_inside:
            return
        self.batches.begin_epoch(epoch, self.step)
        model = self.model
        for variable, value in zip(model.metrics_variables, self.metrics, strict=True):
            variable.assign(value)
        model.optimizer.learning_rate = self.learning_rate

    def on_train_batch_begin(self, batch, logs=None):
        """Has Keras, who counts the batches of a whole epoch, stop at the last one."""
        if not self._is_inside or self.batches.num_batches is None:
            return
        last = self.batches.num_batches - self.batch - 1
        if batch == last:
            self.model.stop_training = _END_OF_EPOCH

    def on_epoch_end(self, epoch, logs=None):
        """Lets the next epoch begin, unless another callback has ended the training."""
        self._is_inside = False
        if self.model.stop_training == _END_OF_EPOCH:
            self.model.stop_training = False
