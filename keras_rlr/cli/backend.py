import contextlib
import importlib.util
import os
import sys
import tempfile

import click

from keras_rlr.backend_choice import choose_backend


def start_backend():
    """Imports Keras on the backend it is to use and says which on standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    choose_backend()
    with _hidden_standard_error():
        import keras

        # Keras imports TensorFlow on every backend once it reads or copies a model.
        if importlib.util.find_spec("tensorflow"):
            import tensorflow  # noqa: F401

    click.echo(f"Backend: {keras.backend.backend()}", err=True)


@contextlib.contextmanager
def _hidden_standard_error():
    """Keeps TensorFlow's notes on its import from the user, unless it fails.

    They are written past Python, and before any setting of TensorFlow's applies.
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
