"""Which backend Keras is to run on, decided before Keras is imported."""

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

BACKENDS = ("tensorflow", "jax", "torch")


def installed_backends() -> list[str]:
    """Names of the backends that can be imported, in the order of preference."""
    return [name for name in BACKENDS if importlib.util.find_spec(name) is not None]


def choose_backend() -> None:
    """Sets `KERAS_BACKEND` unless the user or Keras has decided already.

    The order is: the environment variable `KERAS_BACKEND`; Keras' settings file, if
    the backend it names is installed (Keras itself writes one that names TensorFlow,
    installed or not); the first installed of TensorFlow, JAX and PyTorch.

    Without a home that can be written to, it also sets `KERAS_HOME`.

    Raises:
        ImportError: If none of them is installed.
    """
    _name_keras_home()
    if os.environ.get("KERAS_BACKEND") or "keras" in sys.modules:
        return
    installed = installed_backends()
    if not installed:
        raise ImportError(
            "No backend is installed. Install one with "
            "`pip install 'keras-rlr[tensorflow]'`, `'keras-rlr[jax]'` or "
            "`'keras-rlr[torch]'`."
        )
    if _of_settings_file() not in installed:
        os.environ["KERAS_BACKEND"] = installed[0]


def keras_backend() -> str | None:
    """Name of the backend that Keras will take, if anything names one."""
    return os.environ.get("KERAS_BACKEND") or _of_settings_file()


def keras_home() -> Path:
    """Where Keras keeps settings and downloads: in the user's home, if there is one.

    Keras has no public name for it.
    """
    if os.environ.get("KERAS_HOME"):
        return Path(os.environ["KERAS_HOME"])
    # Without a home this is the text "~" and not an error, as of `Path.home`.
    home = os.path.expanduser("~")
    return Path(home if os.access(home, os.W_OK) else tempfile.gettempdir(), ".keras")


def _name_keras_home() -> None:
    """Without a home, has all libraries take the folder that Keras takes.

    TensorFlow's own copy of Keras, and KerasHub, would make a folder called "~".
    """
    if not os.access(os.path.expanduser("~"), os.W_OK):
        os.environ.setdefault("KERAS_HOME", str(keras_home()))


def _of_settings_file() -> str | None:
    try:
        text = (keras_home() / "keras.json").read_text(encoding="utf-8")
        settings = json.loads(text)
        backend = settings["backend"]
        return backend if isinstance(backend, str) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
