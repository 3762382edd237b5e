import time
from typing import Any

import keras
import numpy as np

from keras_rlr import processes
from keras_rlr.detectors.save_model import save_checkpoint
from keras_rlr.detectors.training_callbacks import learning_rate_of, steps_taken
from keras_rlr.training.interruption import SignalGuard
from keras_rlr.training.run_folder import RunFolder
from keras_rlr.training.training_state import TrainingState, values_of_metrics

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
        steps: Batches of an epoch.
        every: Batches after which a checkpoint is written inside of an epoch too; None
            for at its end alone.
        kept: How many of those are kept.
        resumed: The `TrainingState` that the training goes on from, or None.
    """

    def __init__(
        self,
        run: RunFolder,
        guard: SignalGuard,
        history: Any,
        steps: int,
        every: int | None = None,
        kept: int = 1,
        resumed: TrainingState | None = None,
    ) -> None:
        super().__init__()
        self.run = run
        self.guard = guard
        self.history = history
        self.steps = steps
        self.every = every
        self.kept = kept
        # Of the epoch that is trained: what was done of it before this process.
        self._before = resumed.batch if resumed else 0
        self._seconds_before = resumed.seconds if resumed else 0.0
        self._first_step = resumed.step - resumed.batch if resumed else None
        self._epoch, self._began, self._rate = 0, 0.0, 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes the run resumable from its first step on."""
        self.guard.deferring = True
        self._rate = self._rate_now()
        if not processes.is_writer():
            return
        self.run.checkpoints.remove_unfinished()
        if not self.run.checkpoints.found():
            self._save(len(self.history), 0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._epoch = epoch
        self._began = time.monotonic() - self._seconds_before
        if self._first_step is None:
            self._first_step = steps_taken(self.model)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Writes a checkpoint if one is due, and stops between two steps if asked."""
        # Not at the end of a step: its loss would be waited for.
        done = self._before + batch
        is_due = self.every and (self._epoch * self.steps + done) % self.every == 0
        # That of the epoch's begin was written at the end of the one before.
        if is_due and batch and processes.is_writer():
            self._save(self._epoch, done)
        if processes.count() == 1 or batch % _STEPS_BETWEEN_WORDS == 0:
            self._check(None if is_due or not batch else done)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes history and checkpoint."""
        self.history.append(
            {
                "epoch": epoch + 1,
                "loss": float(logs["loss"]),
                "seconds": time.monotonic() - self._began,
            }
        )
        self._before, self._seconds_before, self._first_step = 0, 0.0, None
        self._rate = self._rate_now()
        # The history first: rows beyond the checkpoint are dropped when resuming.
        self.run.write_history(self.history)
        if processes.is_writer():
            self._save(epoch + 1, 0)
        self._check()

    def _save(self, epoch, batch):
        state = self._state(epoch, batch)
        # A model that is lost is no one to go on from; another callback says so.
        if not np.isfinite(np.concatenate([*map(np.ravel, state.metrics), [0]])).all():
            return
        checkpoints = self.run.checkpoints
        path = checkpoints.of_epoch
        if self.every:
            path = checkpoints.numbered(epoch * self.steps + batch)
        with processes.alone():
            save_checkpoint(self.model, path, state.to_dict())
        if self.every:
            checkpoints.keep(self.kept, path)

    def _state(self, epoch, batch):
        if not batch:
            step = steps_taken(self.model)
            return TrainingState(epoch, 0, step, self._rate, self._rate)
        return TrainingState(
            epoch,
            batch,
            self._first_step + batch,
            self._rate,
            self._rate_now(),
            time.monotonic() - self._began,
            values_of_metrics(self.model),
        )

    def _rate_now(self):
        return learning_rate_of(self.model)

    def _check(self, done=None):
        """Stops if a signal came, with a checkpoint of what would else be lost."""
        self.guard.received = processes.first_of(self.guard.received)
        if self.guard.received is not None and self.every and done:
            if processes.is_writer():
                self._save(self._epoch, done)
            # Who started all ends those that are left, once one has ended.
            processes.wait()
        self.guard.check()
