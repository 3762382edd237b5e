"""Detectors from files and by name."""

import difflib
import json
import math
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_rlr.atomic_change import finish_change
from keras_rlr.backbones.safe_loading import PACKAGES, RefusedModelError
from keras_rlr.detectors.distribution import distribution_scope, resolve_distribution
from keras_rlr.keras_private import checked_variables

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# Large networks have one of a megabyte.
_LARGEST_CONFIG = 2**26
# A gigabyte of numbers, and the variables of the deepest networks.
_SPARE_NUMBERS, _SPARE_VARIABLES = 2**28, 5_000
# Bytes that the smallest variable takes in a file.
_LEAST_STORED = 500
# Characters of what a library says.
_LONGEST_REASON = 500


def load_saved(cls, location, distribution=None, **overrides):
    """Returns a model that was saved.

    Args:
        cls: The class that it must be of.
        location: The path of a `.keras` file, or of a folder with a `model.keras`.
        distribution: As of the detectors.
        **overrides: Refused.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the model can't be loaded, or is of another class.
    """
    path = saved_model_path(location)
    if overrides:
        raise ValueError(
            f"A saved model keeps its settings; {', '.join(sorted(overrides))} can't "
            "be changed. Only `distribution` can be given with a file or folder."
        )
    distribution = resolve_distribution(distribution)
    with distribution_scope(distribution):
        model = load_model(path)
    if not isinstance(model, cls):
        raise ValueError(
            f"'{path}' holds a model of the class {type(model).__name__}, not of "
            f"{cls.__name__}. Load it by `keras.saving.load_model`."
        )
    model.distribution = distribution or model.distribution
    return model


def preset_settings(preset, presets):
    """Returns the settings of a preset.

    Args:
        preset: Its name.
        presets: Dict of settings by name.

    Raises:
        ValueError: If there is no such preset; the message lists them.
    """
    if preset in presets:
        return dict(presets[preset])
    close = difflib.get_close_matches(str(preset), presets, n=1, cutoff=0.6)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    known = "".join(f"{name}, " for name in presets)
    raise ValueError(
        f"Unknown preset {str(preset)!r}.{hint} Expected one of {known}a folder that "
        "holds a model.keras, or a .keras file."
    )


def names_a_file(location):
    """Whether it is the path of a folder or of a `.keras` file, be it there or not.

    Args:
        location: A path, or a name.
    """
    return Path(location).is_dir() or Path(location).suffix == ".keras"


def saved_model_path(location):
    """Returns the `.keras` file that a path of a file or run folder stands for.

    Args:
        location: The path.

    Raises:
        FileNotFoundError: If there is no such file, or the folder holds no model.
    """
    path = Path(location)
    finish_change(path if path.is_dir() else path.parent)
    if path.is_dir():
        if not (path / "model.keras").is_file():
            raise FileNotFoundError(
                f"The folder '{path}' has no model.keras. Expected a folder that "
                "`keras-rlr train --output` wrote, or the path of a .keras file."
            )
        return path / "model.keras"
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file '{path}'.")
    return path


def load_model(path):
    """Loads a detector in Keras' safe mode; nothing outside of the file is read.

    Raises:
        ValueError: If the file is damaged, holds another model or reaches out.
    """
    return load_file(
        path,
        "a detector of this package",
        "a .keras file written by `model.save` or `keras-rlr train`",
        lambda model: hasattr(model, "thresholds"),
    )


def load_file(path, kind, expected, is_kind):
    """Loads a `.keras` file that is to hold a kind of model, in Keras' safe mode.

    Args:
        path: The file.
        kind: What it should hold, for messages.
        expected: The file it should be, for messages.
        is_kind: Takes the loaded model; whether it is of that kind.

    Raises:
        ValueError: If the file is damaged, holds something else or reaches out.
    """
    try:
        found, is_ours = _class_in_file(path)
        # What Keras' own classes would do while they are built is never tried.
        model = None
        if is_ours:
            with checked_variables(_Growth(path).add):
                model = keras.saving.load_model(path)
    except RefusedModelError as error:
        raise RefusedModelError(f"'{path}' is refused. {error}") from None
    # zipfile, h5py and Keras raise half a dozen types for the ways to be damaged.
    except Exception as error:
        reason = shortened(str(error) or type(error).__name__)
        raise ValueError(
            f"'{path}' can't be loaded as a model ({reason}). Expected {expected}; it "
            "may be damaged or cut short."
        ) from error
    if model is None or not is_kind(model):
        raise ValueError(f"'{path}' holds a {found}, not {kind}. Expected {expected}.")
    return model


class _Growth:
    """Refuses to build far more than the file has weights for.

    The configuration of a few bytes may ask for layers that fill the memory.
    """

    def __init__(self, path):
        with zipfile.ZipFile(path) as archive:
            stored = archive.getinfo(_WEIGHTS).file_size
        # A network is built whole, and kept up to the levels that are looked at.
        self._numbers_left = stored + _SPARE_NUMBERS
        self._variables_left = stored // _LEAST_STORED + _SPARE_VARIABLES

    def add(self, shape):
        """Counts a variable that is about to be made."""
        self._numbers_left -= math.prod(int(side or 0) for side in np.atleast_1d(shape))
        self._variables_left -= 1
        if self._numbers_left < 0 or self._variables_left < 0:
            raise RefusedModelError(
                "It asks for a network that is many times larger than the weights in "
                "it, as no file does that `model.save` or `keras-rlr train` wrote."
            )


def shortened(message):
    """A library's message, as long as a sentence may be."""
    text = " ".join(message.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def _class_in_file(path):
    """Name of the class that a file is of, and whether it is no class of Keras'."""
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(_CONFIG).file_size
        if size > _LARGEST_CONFIG:
            raise ValueError(f"its config.json would take {size} bytes")
        config = json.loads(archive.read(_CONFIG))
    known = keras.saving.get_registered_object(config.get("registered_name"))
    is_ours = known is not None and known.__module__.split(".")[0] not in PACKAGES
    return config["class_name"], is_ours
