"""What is written to the console: all of it, and nothing of the libraries' notes.

`keras_rlr_command` runs this file before it imports the package, so it must import
nothing of it.
"""

import codecs
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

# How a console without these characters is told what they say.
_PLAIN = {
    "–": "-",
    "−": "-",
    "×": "x",
    "…": "...",
    "“": '"',
    "”": '"',
    "’": "'",
    "≥": ">=",
    "≤": "<=",
    "→": "->",
    "·": "*",
    "²": "^2",
    "⌈": "ceil(",
    "⌉": ")",
    "α": "alpha",
    "λ": "lambda",
    "σ": "sigma",
}


def print_whatever_the_encoding() -> None:
    """Has both streams write characters that their encoding lacks in another way.

    Python would raise instead, and a result that took hours would be lost over a dash.
    """
    codecs.register_error("keras_rlr_plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        # Where the streams were replaced, or closed, there is nothing to set.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="keras_rlr_plain")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if character in _PLAIN:
        return _PLAIN[character], error.start + 1
    escaped = character.encode("ascii", "backslashreplace").decode("ascii")
    return escaped, error.start + 1


@contextlib.contextmanager
def hidden_standard_error() -> Iterator[None]:
    """Keeps from the user what libraries write while they are imported.

    They write past Python, so the file descriptor itself is turned away. If the block
    fails, what was written is shown after all.
    """
    if sys.stderr is None:
        yield
        return
    try:
        notes = tempfile.TemporaryFile()  # noqa: SIM115
        shown = os.dup(2)
    except OSError:
        # No folder for temporary files, or no standard error: then nothing is hidden.
        yield
        return
    sys.stderr.flush()
    with notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(shown, notes.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
