import time
from typing import Any

import keras

from keras_rlr import processes
from keras_rlr.detectors.save_model import save_checkpoint
from keras_rlr.training.interruption import SignalGuard
from keras_rlr.training.run_folder import RunFolder

# All have to stop before the same step, and asking all takes time.
_STEPS_BETWEEN_WORDS = 8


class Checkpointing(keras.callbacks.Callback):
    """Keeps a run's checkpoint and history up to date, and heeds signals.

    Of processes that train together the first one writes, and a signal that one of them
    got stops all, every few steps.

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
        if processes.is_writer() and not self.run.checkpoint.exists():
            self._save()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._began = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Stops between two steps if a signal came."""
        # Not at the end of a step: its loss would be waited for.
        if processes.count() == 1 or batch % _STEPS_BETWEEN_WORDS == 0:
            self._check()

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
        if processes.is_writer():
            self._save()
        self._check()

    def _save(self):
        with processes.alone():
            save_checkpoint(self.model, self.run.checkpoint)

    def _check(self):
        self.guard.received = processes.first_of(self.guard.received)
        self.guard.check()
