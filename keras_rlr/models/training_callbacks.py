"""What `fit` adds to the user's callbacks."""

import keras


class EpochOrder(keras.callbacks.Callback):
    """Tells the batches which epoch they are for, on which their order depends."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the epoch."""
        self.batches.begin_epoch(epoch)


class Validation(keras.callbacks.Callback):
    """Evaluates after every epoch and adds the results to its logs, as `val_…`.

    Keras' own validation would ask for a model that returns its metrics from a
    traced step, which AUROC over all images can't be.
    """

    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_epoch_end(self, epoch, logs=None):
        """Evaluates."""
        results = self.model.evaluate(self.data, verbose=0, return_dict=True)
        logs.update({f"val_{name}": value for name, value in results.items()})
