import signal
import threading
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by a signal, between two steps.

    Args:
        signal_number: The signal, SIGINT or SIGTERM.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class SignalGuard:
    """Turns SIGINT and SIGTERM into `TrainingInterrupted` at a safe moment.

    While `deferring` a first signal waits for `check`; a second one, or one at any
    other time, interrupts at once. Only the main thread can be guarded; elsewhere
    this does nothing.

    Example:

    ```python
    with SignalGuard() as guard:
        guard.deferring = True
        for batch in batches:
            step(batch)
            guard.check()
    ```
    """

    def __init__(self) -> None:
        self.deferring = False
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self):
        """Takes the signals over."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception):
        """Gives the signals back."""
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _receive(self, number, frame):
        if self.deferring and self.received is None:
            self.received = number
        else:
            raise TrainingInterrupted(number)

    def check(self) -> None:
        """Raises `TrainingInterrupted` if a signal came."""
        if self.received is not None:
            raise TrainingInterrupted(self.received)
