"""How far training has come, for people and for log files."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from keras_rlr.cli.printing import say


@contextlib.contextmanager
def training_progress() -> Iterator[keras.callbacks.Callback]:
    """Gives a Keras callback: a bar on a terminal, else a line an epoch."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield LineProgress()
        return
    progress = BarProgress(console)
    try:
        yield progress
    finally:
        progress.close()


class LineProgress(keras.callbacks.Callback):
    """Prints a line an epoch on standard error."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock."""
        self._began = time.monotonic()
        self._first: Any = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the epoch's clock."""
        self._epoch_began = time.monotonic()
        self._first = epoch if self._first is None else self._first

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Prints the line."""
        now = time.monotonic()
        epochs = self.params["epochs"]
        done = epoch + 1 - self._first
        left = (now - self._began) / done * (epochs - epoch - 1)
        say(
            f"epoch {epoch + 1}/{epochs}  loss {logs['loss']:.4f}  "
            f"{now - self._epoch_began:.1f} s  {format_seconds(left)} left",
            err=True,
        )


class BarProgress(keras.callbacks.Callback):
    """Shows a bar with epoch, loss and time left on a terminal.

    Args:
        console: Rich's console.
    """

    async_safe = True  # rich may be called by any thread

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._progress: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Shows the bar."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._progress.start()
        self._task = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Names the epoch."""
        epochs = self.params["epochs"]
        if self._task is None:
            self._first = epoch
            self._steps = self.params.get("steps") or 0
            # Without a known number of steps the bar moves once an epoch.
            total = (epochs - epoch) * (self._steps or 1)
            self._task = self._progress.add_task("", total=total, loss="-")
        self._progress.update(self._task, description=f"epoch {epoch + 1}/{epochs}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar."""
        self._progress.update(
            self._task, advance=1 if self._steps else 0, loss=f"{logs['loss']:.4f}"
        )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Leaves a line behind and sets the bar to the end of the epoch."""
        self._progress.update(
            self._task, completed=(epoch + 1 - self._first) * (self._steps or 1)
        )
        self._progress.print(
            f"epoch {epoch + 1}/{self.params['epochs']}  loss {logs['loss']:.4f}"
        )

    def on_train_end(self, logs: Any = None) -> None:
        """Removes the bar."""
        self.close()

    def close(self) -> None:
        """Gives the terminal back, after an interruption too."""
        if self._progress is not None:
            self._progress.stop()


@contextlib.contextmanager
def image_progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a bar on a terminal, and gives a function `(done, total)` to call.

    Args:
        what: What is being done to the images.
    """
    count = TextColumn("{task.completed}/{task.total} images")
    with _bar(count, TimeRemainingColumn()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextlib.contextmanager
def byte_progress() -> Iterator[tuple[Callable[[int, int | None], None], ...]]:
    """Gives two functions `(done, total)`, for a download and for an extraction."""
    tasks: dict[str, TaskID] = {}

    def update(what, done, total):
        if what not in tasks:
            tasks[what] = progress.add_task(what)
        progress.update(tasks[what], completed=done, total=total)

    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with _bar(*columns) as progress:
        yield (
            functools.partial(update, "downloading"),
            functools.partial(update, "extracting"),
        )


def _bar(*columns: ProgressColumn) -> Progress:
    """A bar on standard error, if that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def format_seconds(seconds: float) -> str:
    """A time as people say it: 42 s, 3 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 99:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
