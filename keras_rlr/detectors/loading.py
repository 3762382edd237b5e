"""Models by name or from a file."""

from pathlib import Path

import keras

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
    """Loads an RLR model in Keras' safe mode.

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
    if not hasattr(model, "reconstructors"):
        raise ValueError(
            f"'{path}' holds a {type(model).__name__}, not an RLR model. Expected a "
            ".keras file written by `RLR.save` or `keras-rlr train`."
        )
    return model
