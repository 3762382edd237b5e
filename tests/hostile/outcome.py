"""What every command owes to whoever gives it something hostile."""

import contextlib
import resource
import signal
import unicodedata

from tests.run_command import run

# Far more than any of these commands needs, on a busy machine too.
_MOST_SECONDS = 120
_MOST_BYTES = 8 * 2**30


@contextlib.contextmanager
def bounded():
    """Ends what hangs, and lets what fills the memory fail instead of the machine."""

    def stop(number, frame):
        raise TimeoutError("It hangs.")

    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (now + _MOST_BYTES, limits[1]))
    signal.alarm(_MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, before)


def refused(*arguments):
    """Runs a command that must refuse its arguments in a sentence; returns that.

    Raises:
        AssertionError: If it did the work, failed in another way, or wrote raw control
            characters to the console.
    """
    with bounded():
        result = run(*arguments)
    said = f"keras-rlr {arguments} -> {result.exit_code}\n{result.output[-2000:]}"
    assert result.exit_code == 2, f"{said}{result.exception!r}"
    assert "Error: " in result.stderr, said
    for unwanted in ("Traceback", "This was not expected", "TimeoutError"):
        assert unwanted not in result.output, said
    check_printable(result.output)
    return result.stderr.partition("Error: ")[2]


def check_printable(text):
    """Asserts that a text has no characters that a terminal would obey."""
    raw = {c for c in text if unicodedata.category(c) == "Cc"} - {"\n", "\t"}
    assert not raw, f"{raw} in {text!r}"
