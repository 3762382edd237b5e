import time
from typing import Any

import keras

from keras_rlr.detectors.save_model import save_checkpoint
from keras_rlr.training.interruption import SignalGuard
from keras_rlr.training.run_folder import RunFolder


class Checkpointing(keras.callbacks.Callback):
    """Keeps a run's checkpoint and history up to date, and heeds signals.

    Args:
        run: The `RunFolder`.
        guard: The `SignalGuard`.
        history: Rows of the epochs that are done; it is added to.
    """

    def __init__(self, run: RunFolder, guard: SignalGuard, history: Any) -> None:
        super().__init__()
        self.run = run
        self.guard = guard
        self.history = history
        self._began = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes the run resumable from its first step on."""
        self.guard.deferring = True
        if not self.run.checkpoint.exists():
            save_checkpoint(self.model, self.run.checkpoint)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._began = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Stops between two steps if a signal came."""
        # Not at the end of a step: its loss would be waited for.
        self.guard.check()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes history and checkpoint."""
        self.history.append(
            {
                "epoch": epoch + 1,
                "loss": float(logs["loss"]),
                "seconds": time.monotonic() - self._began,
            }
        )
        # The history first: rows beyond the checkpoint are dropped when resuming.
        self.run.write_history(self.history)
        save_checkpoint(self.model, self.run.checkpoint)
        self.guard.check()
