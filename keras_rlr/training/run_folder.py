"""The folder of a training run: its files, settings, images and model."""

import csv
import io
import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rlr.atomic_change import finish_change
from keras_rlr.atomic_file import check_writable, write_text
from keras_rlr.datasets import account_for_images, find_images, read_image
from keras_rlr.detectors.anomaly_detector import AnomalyDetector
from keras_rlr.folder_lock import FolderLock
from keras_rlr.methods.by_name import check_arguments, method_for
from keras_rlr.processes import is_writer
from keras_rlr.tables.table_text import table_text
from keras_rlr.training.checkpoints import Checkpoints
from keras_rlr.training.run_devices import devices_of_run

_COLUMNS = ("epoch", "loss", "seconds")


class RunFolder:
    """The files of a training run.

    Args:
        path: The folder. Nothing is written before `begin`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.model = self.path / "model.keras"
        self.checkpoints = Checkpoints(self.path)
        self.history = self.path / "history.csv"
        self.config = self.path / "config.json"
        self.environment = self.path / "environment.json"
        self.images = self.path / "images.csv"

    def _files(self):
        return (
            self.model,
            *self.checkpoints.found(),
            self.history,
            self.config,
            self.environment,
            self.images,
        )

    def lock(self) -> FolderLock:
        """The lock of whoever trains or changes the run."""
        return FolderLock(
            self.path,
            "training or changing the run in",
            "Wait until it has ended, or stop it (a training then continues with "
            "--resume); or choose another folder with --output.",
        )

    def check_unused(self) -> None:
        """Raises a FileExistsError if the folder has a run in it, or can't be one."""
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(
                f"'{self.path}' is a file. Choose another folder for the run with "
                "--output."
            )
        finish_change(self.path)
        found = [file.name for file in self._files() if file.exists()]
        if found:
            raise FileExistsError(
                f"'{self.path}' already holds a run ({', '.join(found)}). Continue it "
                "with --resume, or choose another folder with --output."
            )

    def read_config(self, parts: Sequence[str] = ("settings",)) -> dict[str, Any]:
        """The settings of the run in the folder.

        Args:
            parts: Its dicts that are needed.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If its file is damaged.
        """
        finish_change(self.path)
        if not self.config.is_file():
            raise FileNotFoundError(
                f"There is no run to resume in '{self.path}' (no config.json). Check "
                "--output, or leave --resume out to begin one."
            )
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"'{self.config}' is no valid JSON: {error}.") from error
        for part in parts:
            if not isinstance(config, dict) or not isinstance(config.get(part), dict):
                raise ValueError(
                    f"'{self.config}' is not the file of a training run: it has no "
                    f"'{part}'. Restore it, or remove it to do without."
                )
        data = config["data"] if "data" in parts else {"path": "", "categories": []}
        names = data.get("categories")
        if not isinstance(data.get("path"), str) or not (
            isinstance(names, list) and all(isinstance(name, str) for name in names)
        ):
            raise ValueError(
                f"'{self.config}' is damaged: its 'data' must have a 'path' and a list "
                "of 'categories'. Restore it, or remove it to do without."
            )
        try:
            _check_numbers(config["settings"])
        except ValueError as error:
            raise ValueError(f"'{self.config}' is damaged: {error}") from error
        return config

    def write_json(self, path: str | Path, content: dict[str, Any]) -> None:
        """Writes one of the folder's JSON files, in the process that writes."""
        if is_writer():
            write_text(path, json.dumps(content, indent=2) + "\n")

    def read_history(self) -> list[dict[str, Any]]:
        """The rows of the history: dicts of epoch, loss, seconds."""
        if not self.history.is_file():
            return []
        kinds = dict(zip(_COLUMNS, (int, float, float), strict=True))
        text = self.history.read_text(encoding="utf-8", errors="replace")
        try:
            return [
                {name: kind(row[name]) for name, kind in kinds.items()}
                for row in csv.DictReader(io.StringIO(text))
            ]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ValueError(
                f"'{self.history}' is damaged: expected the columns "
                f"{', '.join(_COLUMNS)} of numbers ({error!r}). Restore it, or begin "
                "another run with another --output."
            ) from error

    def write_history(self, rows: Any) -> None:
        """Writes the history, one row an epoch, in the process that writes."""
        if not is_writer():
            return
        cells = ((row["epoch"], row["loss"], f"{row['seconds']:.2f}") for row in rows)
        write_text(self.history, table_text([_COLUMNS, *cells]))

    def discard(self) -> None:
        """Removes the run's files, and the folder if nothing else is in it."""
        if not is_writer():
            return
        for file in self._files():
            file.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


_DEFAULTS = {"seed": 0, "calibration_fraction": 0.1}
# How a run is kept says nothing of what it comes to.
_MAY_CHANGE = ("checkpoint_every", "keep_checkpoints")
# Nor do the devices, which are an argument of the model.
_DEVICES = "distribution"


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
    given = settings_fit_for_json(given)
    _check_numbers(given)
    if not resume:
        _check_kept(given)
        run.check_unused()
        check_writable(run.path)
        return {**_DEFAULTS, **given}
    config = run.read_config()
    if config.get("changes"):
        raise ValueError(
            f"Products were added to the run in '{run.path}', or removed, since it was "
            "trained, so its training can't go on. Begin another run with another "
            "--output."
        )
    settings = config["settings"]
    check_writable(run.path)
    _check_kept({**settings, **given})
    for name, value in given.items():
        if name == "epochs":
            done = len(run.read_history())
            if value < done:
                raise ValueError(
                    f"The run in '{run.path}' already has {done} epochs. Received "
                    f"{value} epochs; give more to continue it."
                )
        elif name not in (*_MAY_CHANGE, _DEVICES) and settings.get(name) != value:
            raise ValueError(
                f"The run in '{run.path}' was begun with {name} "
                f"{settings.get(name, 'left to the preset')!r}, not {value!r}. Leave "
                "it out to resume, or begin another run with another --output."
            )
    settings = {**settings, **given}
    if _DEVICES in settings and _DEVICES not in given:
        settings[_DEVICES] = devices_of_run(settings[_DEVICES], run.path)
    return {name: value for name, value in settings.items() if value is not None}


def settings_fit_for_json(given: dict[str, Any]) -> dict[str, Any]:
    """Returns the choices among settings, as JSON gives them back.

    Args:
        given: Dict of what the user chose; None stands for no choice.
    """
    return {name: _plain(value) for name, value in given.items() if value is not None}


def _plain(value):
    """The value as JSON gives it back."""
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    # NumPy's numbers too.
    value = value.item() if isinstance(value, np.generic) else value
    return str(value) if isinstance(value, Path) else value


def _check_kept(settings):
    if "keep_checkpoints" in settings and "checkpoint_every" not in settings:
        raise ValueError(
            "`keep_checkpoints` is how many are kept of the checkpoints that "
            "`checkpoint_every` asks for. Give that too, or leave it out."
        )


_LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "seed": 0,
    "checkpoint_every": 1,
    "keep_checkpoints": 1,
}


def _check_numbers(given):
    for name, least in _LEAST.items():
        value = given.get(name, least)
        if not isinstance(value, int) or value >= 2**31:
            raise ValueError(
                f"`{name}` must be a whole number below 2^31. Received: {value!r}."
            )
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {value!r}.")
    rate = given.get("learning_rate", 1.0)
    if not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise ValueError(f"`learning_rate` must be above 0. Received: {rate!r}.")
    fraction = given.get("calibration_fraction", 0)
    if not isinstance(fraction, int | float) or not 0 <= fraction < 1:
        raise ValueError(
            "`calibration_fraction` must be at least 0 and below 1. Received: "
            f"{fraction!r}."
        )


# Settings of the run that are no arguments of the model.
_OF_THE_RUN = {
    "categories",
    "method",
    "preset",
    "epochs",
    "batch_size",
    "learning_rate",
    "calibration_fraction",
    "anomaly_source",
    *_MAY_CHANGE,
}


def new_model(settings: dict[str, Any]) -> AnomalyDetector:
    """Returns the model of the settings: a preset's, with the user's own on top.

    Raises:
        ValueError: If the method has no such argument, or no such preset.
    """
    method = method_for(settings.get("method"), settings.get("preset"))
    arguments = {
        name: value for name, value in settings.items() if name not in _OF_THE_RUN
    }
    if arguments.get("backbone_weights") == "none":
        arguments["backbone_weights"] = None
    check_arguments(method, arguments)
    if not method.has_steps and "learning_rate" in settings:
        raise ValueError(
            f"{method.__name__} takes no steps, so it has no learning rate. Leave "
            "`learning_rate` out."
        )
    if "anomaly_source" in settings:
        if not hasattr(method, "take_anomalies_from"):
            raise ValueError(
                f"{method.__name__} makes no anomalies in training, so it has no use "
                "for `anomaly_source`. Leave it out, or train DRAEM."
            )
        find_images(settings["anomaly_source"])
    preset = settings.get("preset") or method.preset_for(settings.get("backbone"))
    model = method.from_preset(preset, **arguments)
    if "learning_rate" in settings:
        model.optimizer.learning_rate = settings["learning_rate"]
    return model


def source_images(folder: str) -> tuple["_Pictures", str]:
    """Returns the images of a folder, read when they are asked for, and its name.

    Args:
        folder: The folder, with images at any depth.

    Raises:
        FileNotFoundError: If it is not there, or has no images.
    """
    account = account_for_images(folder)
    if left_out := account.left_out.summary():
        warnings.warn(left_out, stacklevel=2)
    return _Pictures(account.images), str(folder)


class _Pictures:
    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return read_image(self.paths[index])
