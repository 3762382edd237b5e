"""The command `keras-rlr`.

Outside of the package, because importing that imports Keras and with it TensorFlow,
which writes notes for its developers to standard error, past Python and before any
setting of its own applies.
"""

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def hidden_standard_error():
    """Keeps from the user what libraries write while they are imported.

    If the block fails, it is shown after all.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(shown, notes.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


def main():
    """Runs the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hidden_standard_error():
        from keras_rlr.cli.main import cli
    cli(prog_name="keras-rlr")


if __name__ == "__main__":
    main()
