"""What a run was asked to do, as it is kept in its config.json."""

import math
from pathlib import Path
from typing import Any

from keras_rlr.atomic_file import check_writable
from keras_rlr.training.run_folder import RunFolder

_DEFAULTS = {"seed": 0, "calibration_fraction": 0.1}


def run_settings(given: dict[str, Any], run: RunFolder, resume: bool) -> dict[str, Any]:
    """The settings of a run, new or resumed.

    Args:
        given: Dict of what the user chose; None stands for no choice.
        run: The `RunFolder`.
        resume: Whether the run in the folder is continued.

    Returns:
        Dict of the choices and of the defaults of this module, fit for JSON.

    Raises:
        FileExistsError: If the folder is taken and `resume` is off.
        FileNotFoundError: If there is no run to resume.
        ValueError: If a value is not possible, or not the resumed run's.
    """
    given = {name: _plain(value) for name, value in given.items() if value is not None}
    _check_numbers(given)
    if not resume:
        run.check_unused()
        check_writable(run.path)
        return {**_DEFAULTS, **given}
    settings = run.read_config()["settings"]
    check_writable(run.path)
    for name, value in given.items():
        if name == "epochs":
            done = len(run.read_history())
            if value < done:
                raise ValueError(
                    f"The run in '{run.path}' already has {done} epochs. Received "
                    f"{value} epochs; give more to continue it."
                )
        elif settings.get(name) != value:
            raise ValueError(
                f"The run in '{run.path}' was begun with {name} "
                f"{settings.get(name, 'left to the preset')!r}, not {value!r}. Leave "
                "it out to resume, or begin another run with another --output."
            )
    return {**settings, **given}


def _plain(value):
    """The value as JSON gives it back."""
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _check_numbers(given):
    for name in ("epochs", "batch_size"):
        if given.get(name, 1) < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {given[name]!r}.")
    rate = given.get("learning_rate", 1.0)
    if not 0 < rate < math.inf:
        raise ValueError(f"`learning_rate` must be above 0. Received: {rate!r}.")
    if given.get("seed", 0) < 0:
        raise ValueError(f"`seed` must be at least 0. Received: {given['seed']!r}.")
