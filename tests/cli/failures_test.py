import signal
import warnings

import click
import pytest
from click.testing import CliRunner

from keras_rlr.cli.failures import reporting_failures
from keras_rlr.training.interruption import TrainingInterrupted

pytestmark = pytest.mark.backend_independent


def failing(error, debug=False):
    """Runs a command that raises `error`."""

    @click.command()
    @click.pass_context
    def command(ctx):
        with reporting_failures(ctx, debug):
            raise error

    return CliRunner().invoke(command)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("no such thing"), 2),
        (FileNotFoundError("no such thing"), 2),
        (ImportError("no such thing"), 2),
        (ConnectionError("no such thing"), 2),
        (PermissionError("no such thing"), 2),
        (RuntimeError("no such thing"), 1),
        (OSError("no such thing"), 1),
        (MemoryError(), 1),
        (FloatingPointError("no such thing"), 1),
        (TrainingInterrupted(signal.SIGINT), 130),
        (TrainingInterrupted(signal.SIGTERM), 143),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_message_on_standard_error_and_a_code(error, code):
    result = failing(error)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.count("Traceback") == 0
    expected = {1: type(error).__name__, 2: "Error: no such thing"}.get(code, "Stopped")
    if isinstance(error, FloatingPointError):
        # A training that diverged is no fault of the code: a sentence is enough.
        expected = "Error: no such thing"
    assert expected in result.stderr


def test_debug_shows_where():
    result = failing(RuntimeError("no such thing"), debug=True)
    assert "Traceback" in result.stderr
    assert result.exit_code == 1


def test_warnings_are_lines_without_a_path():
    @click.command()
    @click.pass_context
    def command(ctx):
        with reporting_failures(ctx, False):
            warnings.warn("too few images", stacklevel=1)
            warnings.warn("old name", DeprecationWarning, stacklevel=1)

    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert result.stderr == "Warning: too few images\n"
