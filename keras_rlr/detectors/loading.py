"""Detectors from files."""

from pathlib import Path

import keras

from keras_rlr.detectors.distribution import distribution_scope, resolve_distribution


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
    """Loads a detector in Keras' safe mode.

    Raises:
        ValueError: If the file is damaged or holds another model.
    """
    try:
        model = keras.saving.load_model(path)
    # zipfile, h5py and Keras raise half a dozen types for the ways to be damaged.
    except Exception as error:
        raise ValueError(
            f"'{path}' can't be loaded as a model ({error}). Expected a .keras file "
            "written by `model.save` or `keras-rlr train`; it may be damaged or cut "
            "short."
        ) from error
    if not hasattr(model, "thresholds"):
        raise ValueError(
            f"'{path}' holds a {type(model).__name__}, which is no detector of this "
            "package. Expected a .keras file written by `model.save` or `keras-rlr "
            "train`."
        )
    return model
