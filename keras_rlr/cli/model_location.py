from pathlib import Path
from typing import Any

from keras_rlr.atomic_change import finish_change


def model_file(location: Any) -> Path:
    """The `.keras` file of a run's folder, or the one that was given.

    Args:
        location: The folder or file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is neither.
    """
    from keras_rlr.detectors.loading import saved_model_path

    if not Path(location).exists():
        raise FileNotFoundError(
            f"There is no model '{location}'. Expected a folder that `keras-rlr train` "
            "wrote, or a .keras file."
        )
    if not (Path(location).is_dir() or Path(location).suffix == ".keras"):
        raise ValueError(
            f"'{location}' is no model. Expected a folder that `keras-rlr train` "
            "wrote, or a .keras file."
        )
    return saved_model_path(location)


def load_run(location: Any, bit_depth: int | None = None) -> Any:
    """Loads the model of a run's folder or of a `.keras` file.

    Args:
        location: The folder or file.
        bit_depth: What the user says of the images; None leaves the model's.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is no model of this package.
    """
    from keras_rlr.detectors.loading import load_model

    model = load_model(model_file(location))
    if bit_depth is not None:
        model.bit_depth = bit_depth
    return model


def run_config(location: Any) -> dict[str, Any] | None:
    """The config.json beside a model, or None if it has none."""
    from keras_rlr.training.run_folder import RunFolder

    path = Path(location)
    run = RunFolder(path.parent if path.suffix == ".keras" else path)
    finish_change(run.path)
    # A file by another name may be of any run.
    ours = path.suffix != ".keras" or path.name == run.model.name
    if not (ours and run.config.is_file()):
        return None
    return run.read_config(("settings", "data", "training"))
