"""What a failed command says, and its exit code."""

import contextlib
import dis
import errno
import os
import platform
import shlex
import signal
import sys
import sysconfig
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TextIO

import click

from keras_rlr import __version__
from keras_rlr.atomic_file import NO_ROOM
from keras_rlr.cli.printing import say
from keras_rlr.printable import printable
from keras_rlr.processes import leave

# What our own code says by these is a user's to put right: wrong use, bad input,
# something that is not installed.
_SENTENCES = (ImportError, OSError, ValueError)
# What the system says of a path or an address that it was given.
_OF_THE_SYSTEM = (
    ConnectionError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
# And by number: a read-only or full file system, a name that is too long, links in a
# circle, a device that is not there.
_OF_A_PATH = {
    *(*NO_ROOM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.ENXIO, errno.ENODEV),
}
_LONGEST_SENTENCE = 2000
_PACKAGE = Path(__file__).parents[1]


@contextlib.contextmanager
def reporting_failures(ctx: click.Context, debug: bool) -> Iterator[None]:
    """Turns exceptions into a message on standard error and an exit code.

    2 for what the user can put right, 1 where the work itself failed or the code has a
    fault, 128 plus the signal's number for an interruption. The traceback of what
    nobody expected is kept in a file. Warnings become lines on standard error.

    Args:
        ctx: Click's context, which exits.
        debug: Whether to show tracebacks instead of keeping them.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    except click.ClickException as error:
        # An attribute that click declares final.
        message = _shortened(printable(error.message, kept="\n\t"))
        setattr(error, "message", message)  # noqa: B010
        raise
    # Click itself goes quietly when the reader of its output has gone.
    except (click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt as error:
        number = getattr(error, "signal_number", signal.SIGINT)
        say(f"Stopped by {signal.Signals(number).name}.", err=True)
        ctx.exit(128 + number)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if is_users_own(error):
            say(f"Error: {_sentence(error)}", err=True)
            _end(ctx, 2)
        # A training that diverged says so in a sentence, and is no fault in the code.
        if isinstance(error, FloatingPointError) and _is_our_sentence(error):
            say(f"Error: {error}", err=True)
            _end(ctx, 1)
        message = f"Error: {type(error).__name__}: {error}".rstrip(": ")
        say(message, err=True)
        if not debug:
            _keep(error)
        _end(ctx, 1)


def _end(ctx: click.Context, code: int) -> None:
    leave(code)
    ctx.exit(code)


def is_users_own(error: Exception) -> bool:
    """Whether an error is the user's to put right, and not a fault of the code.

    The type alone does not say it: a ValueError may be a sentence of ours about a bad
    input, or NumPy's about two arrays that a bug brought together. So an error of the
    types that we word is the user's only if a `raise` statement of this package raised
    it. What the system says of files and networks is the user's wherever it comes up,
    unless the file belongs to the installed software; so is a package that is missing.

    Args:
        error: What ended a command.
    """
    if isinstance(error, _SENTENCES) and _is_our_sentence(error):
        return True
    if isinstance(error, ModuleNotFoundError):
        return (error.name or "").split(".")[0] != _PACKAGE.name
    if isinstance(error, _OF_THE_SYSTEM) or (
        isinstance(error, OSError) and error.errno in _OF_A_PATH
    ):
        return not _is_installed(error.filename)
    return False


def _is_our_sentence(error: Exception) -> bool:
    """Whether a `raise` statement of this package's code raised an error.

    The innermost frame of the traceback is where it arose. An operation that failed
    there, `int("x")` or a product of arrays that don't fit, leaves the same frame as a
    `raise`; the instruction that the frame stopped at tells them apart.
    """
    place = error.__traceback__
    if place is None:
        return False
    while place.tb_next is not None:
        place = place.tb_next
    module = place.tb_frame.f_globals.get("__name__", "")
    return module.split(".")[0] == _PACKAGE.name and _stopped_at_raise(place)


def _stopped_at_raise(place: TracebackType) -> bool:
    instruction = place.tb_frame.f_code.co_code[place.tb_lasti]
    return dis.opname[instruction] == "RAISE_VARARGS"


def _is_installed(filename: object) -> bool:
    """Whether a file is part of Python, of this package or of another one."""
    if not isinstance(filename, str | os.PathLike):
        return False
    path = Path(filename).absolute()
    names = ("stdlib", "purelib", "platlib")
    folders = (_PACKAGE, *(sysconfig.get_path(name) for name in names))
    return any(path.is_relative_to(str(folder)) for folder in folders)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return f"'{error.filename}' can't be written: its file system is read-only."
    if isinstance(error, OSError) and error.errno in NO_ROOM and not error.filename:
        return str(error.strerror)
    return _shortened(str(error) or type(error).__name__)


def _shortened(text: str) -> str:
    """A message that repeats what the user gave, if that was very long."""
    if len(text) <= _LONGEST_SENTENCE:
        return text
    half = _LONGEST_SENTENCE // 2
    return f"{text[:half]} … {text[-half:]}"


def _keep(error: Exception) -> None:
    """Keeps the traceback of an error in a file, or prints it where that fails."""
    trace = "".join(traceback.format_exception(error))
    words = shlex.join(["keras-rlr", *sys.argv[1:]])
    text = (
        f"{words}\nkeras-rlr {__version__}, Python {platform.python_version()}, "
        f"{platform.platform()}, backend {os.environ.get('KERAS_BACKEND', '-')}\n\n"
    )
    try:
        handle, path = tempfile.mkstemp(prefix="keras-rlr-error-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + trace)
    except OSError:
        say(trace, err=True)
        where = "above"
    else:
        where = f"in {path}"
    say(
        "This was not expected: it is a fault of this program or of a library it uses, "
        f"or the machine's, rather than of your command. Where it happened is {where}. "
        "Please report it with that text.",
        err=True,
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # Deprecations speak to programmers, not to users of a command.
    if not issubclass(category, DeprecationWarning | FutureWarning):
        say(f"Warning: {message}", err=True)
