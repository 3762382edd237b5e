from pathlib import Path
from typing import Any

from keras_rlr.atomic_change import finish_change
from keras_rlr.cli.region import read_region


def load_run(
    location: Any, bit_depth: int | None = None, roi: str | None = None
) -> Any:
    """Loads the model of a run's folder or of a `.keras` file.

    Args:
        location: The folder or file.
        bit_depth: What the user says of the images; None leaves the model's.
        roi: What the user wrote for --roi; None leaves the model's region of interest.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is no model of this package.
    """
    from keras_rlr.detectors.loading import load_model, saved_model_path

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
    model = load_model(saved_model_path(location))
    if bit_depth is not None:
        model.bit_depth = bit_depth
    if roi is not None:
        model.region_of_interest = read_region(roi)
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
