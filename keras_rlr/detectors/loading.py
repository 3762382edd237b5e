"""Models by name or from a file."""

import json
import zipfile
from pathlib import Path

import keras

from keras_rlr.backbones.safe_loading import PACKAGES, RefusedModelError
from keras_rlr.detectors.distribution import distribution_scope, resolve_distribution
from keras_rlr.methods.rlr.presets import PRESETS, preset_arguments


def load_preset(cls, preset, **overrides):
    """Returns the model of a preset's name, a folder or a `.keras` file.

    Args:
        cls: The model class, `RLR`.
        preset: See `RLR.from_preset`.
        **overrides: See `RLR.from_preset`.
    """
    if preset in PRESETS:
        return cls(**preset_arguments(preset, **overrides))
    path = saved_model_path(preset)
    distribution = resolve_distribution(overrides.pop("distribution", None))
    if overrides:
        raise ValueError(
            f"A saved model keeps its settings; {', '.join(sorted(overrides))} can't "
            "be changed. Only `distribution` can be given with a file or folder."
        )
    with distribution_scope(distribution):
        model = load_model(path)
    model.distribution = distribution or model.distribution
    return model


def saved_model_path(location):
    """Returns the `.keras` file that a path of a file or run folder stands for.

    Raises:
        FileNotFoundError: If the folder holds no model.
        ValueError: If it is no path, and no preset either.
    """
    path = Path(location)
    if path.is_dir():
        if not (path / "model.keras").is_file():
            raise FileNotFoundError(
                f"The folder '{path}' has no model.keras. Expected a folder that "
                "`keras-rlr train --output` wrote, or the path of a .keras file."
            )
        return path / "model.keras"
    if path.suffix == ".keras":
        if not path.is_file():
            raise FileNotFoundError(f"There is no model file '{path}'.")
        return path
    preset_arguments(location)
    return path


def load_model(path):
    """Loads an RLR model in Keras' safe mode; nothing outside of the file is read.

    Raises:
        ValueError: If the file is damaged, holds another model or reaches out.
    """
    return load_file(
        path,
        "an RLR model",
        "a .keras file written by `RLR.save` or `keras-rlr train`",
        lambda model: hasattr(model, "reconstructors"),
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
        model = keras.saving.load_model(path) if is_ours else None
    except RefusedModelError as error:
        raise RefusedModelError(f"'{path}' is refused. {error}") from None
    # zipfile, h5py and Keras raise half a dozen types for the ways to be damaged.
    except Exception as error:
        raise ValueError(
            f"'{path}' can't be loaded as a model ({error}). Expected {expected}; it "
            "may be damaged or cut short."
        ) from error
    if model is None or not is_kind(model):
        raise ValueError(f"'{path}' holds a {found}, not {kind}. Expected {expected}.")
    return model


def _class_in_file(path):
    """Name of the class that a file is of, and whether it is no class of Keras'."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    known = keras.saving.get_registered_object(config.get("registered_name"))
    is_ours = known is not None and known.__module__.split(".")[0] not in PACKAGES
    return config["class_name"], is_ours
