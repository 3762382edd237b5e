import errno
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from keras_rlr.cli.failures import reporting_failures
from keras_rlr.training.interruption import TrainingInterrupted

pytestmark = pytest.mark.backend_independent

# Code that counts as this package's own.
OURS = {"__name__": "keras_rlr.somewhere", "np": np, "json": json, "open": open}


def ours(statement):
    """A function of this package's that consists of a statement."""
    exec(f"def function(error=None):\n    {statement}", OURS)
    return OURS["function"]


raise_in_our_code = ours("raise error")


def failing(action, debug=False):
    """Runs a command that does `action`."""

    @click.command()
    @click.pass_context
    def command(ctx):
        with reporting_failures(ctx, debug):
            action()

    return CliRunner().invoke(command)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where tracebacks are kept."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def kept(folder):
    return [p.read_text(encoding="utf-8") for p in folder.glob("keras-rlr-error-*")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("no such thing"), 2),
        (FileNotFoundError("no such thing"), 2),
        (ImportError("no such thing"), 2),
        (ConnectionError("no such thing"), 2),
        (PermissionError("no such thing"), 2),
        (RuntimeError("no such thing"), 1),
        (TypeError("no such thing"), 1),
        (KeyError("no such thing"), 1),
        (MemoryError(), 1),
        (FloatingPointError("no such thing"), 1),
        (TrainingInterrupted(signal.SIGINT), 130),
        (TrainingInterrupted(signal.SIGTERM), 143),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_message_on_standard_error_and_a_code(error, code, temporary):
    result = failing(lambda: raise_in_our_code(error))
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.count("Traceback") == 0
    expected = {1: type(error).__name__, 2: "Error: no such thing"}.get(code, "Stopped")
    if isinstance(error, FloatingPointError):
        # A training that diverged is no fault of the code: a sentence is enough.
        expected = "Error: no such thing"
    assert expected in result.stderr
    unexpected = code == 1 and not isinstance(error, FloatingPointError)
    assert len(kept(temporary)) == unexpected


@pytest.mark.parametrize(
    "statement",
    [
        "int('x')",
        "np.zeros(2) @ np.zeros(3)",
        "np.zeros((2, 3)).reshape(5)",
        "json.loads('{')",
        "dict(zip([1], [1, 2], strict=True))",
        "{}['x']",
        "[][0]",
        "None.x",
        "import keras_rlr.no_such_module",
        "from keras_rlr import no_such_name",
        "from json import no_such_name",
    ],
)
def test_a_bug_of_whatever_type_is_not_the_users(statement, temporary):
    """The types are those of the sentences for users, but nobody wrote a sentence."""
    result = failing(ours(statement))
    assert result.exit_code == 1
    assert "This was not expected" in result.stderr
    [text] = kept(temporary)
    assert "Traceback (most recent call last)" in text and "in function" in text
    assert "keras-rlr" in text and "Python" in text
    path = re.search(r"Where it happened is in (\S+)\.", result.stderr)[1]
    assert Path(path).read_text(encoding="utf-8") == text


def test_an_error_of_other_code_is_not_the_users(temporary):
    def action():
        raise ValueError("operands could not be broadcast together")

    result = failing(action)
    assert result.exit_code == 1
    assert "Error: ValueError: operands could not be broadcast" in result.stderr
    assert len(kept(temporary)) == 1


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("open('/no/such/file')", "No such file or directory: '/no/such/file'"),
        ("open('/')", "Is a directory: '/'"),
        ("import no_such_package", "No module named 'no_such_package'"),
    ],
)
def test_what_the_system_says_of_a_path_is_the_users(statement, words, temporary):
    result = failing(ours(statement))
    assert result.exit_code == 2
    assert words in result.stderr
    assert not kept(temporary)


def test_a_file_that_an_installation_lacks_is_not_the_users(temporary):
    lacking = Path(click.__file__).parent / "no_such_file"
    assert failing(ours(f"open({str(lacking)!r})")).exit_code == 1
    assert len(kept(temporary)) == 1


def test_a_read_only_file_system_is_a_sentence():
    error = OSError(errno.EROFS, os.strerror(errno.EROFS), "/cdrom/predictions")
    result = failing(lambda: raise_in_our_code(error))
    assert result.exit_code == 2
    assert "'/cdrom/predictions' can't be written" in result.stderr


def test_an_error_worded_for_users_stays_theirs_when_it_is_raised_again():
    again = ours("raise error from None")

    def action():
        try:
            raise_in_our_code(ValueError("a label of 7"))
        except ValueError as error:
            again(error)

    assert failing(action).exit_code == 2


def test_debug_shows_where_and_keeps_nothing(temporary):
    result = failing(lambda: raise_in_our_code(RuntimeError("x")), debug=True)
    assert "Traceback" in result.stderr
    assert result.exit_code == 1
    assert not kept(temporary)


def test_where_no_file_can_be_written_the_traceback_is_printed(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    result = failing(lambda: raise_in_our_code(RuntimeError("no such thing")))
    assert result.exit_code == 1
    assert "Traceback" in result.stderr and "is above" in result.stderr


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


def test_without_a_backend_no_command_runs_and_none_has_a_traceback(tmp_path):
    script = (
        "import importlib.util as util, sys\n"
        "real = util.find_spec\n"
        "util.find_spec = lambda name, *args: None if name in "
        "('tensorflow', 'jax', 'torch') else real(name, *args)\n"
        "import keras_rlr_command; keras_rlr_command.main()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    result = subprocess.run(
        [sys.executable, "-c", script, "info"],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("Error: No backend is installed.")
    assert "Traceback" not in result.stderr
