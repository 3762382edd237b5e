"""How a finished run gets another model, without ever being without one."""

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_rlr import processes
from keras_rlr.atomic_change import changed_together, finish_change
from keras_rlr.atomic_file import check_writable
from keras_rlr.detectors.anomaly_detector import AnomalyDetector
from keras_rlr.detectors.save_model import save_without_optimizer
from keras_rlr.environment import describe_environment
from keras_rlr.training.held_out_thresholds import ASKED, FALSE_POSITIVE_RATE
from keras_rlr.training.run_devices import devices_of_run
from keras_rlr.training.run_folder import RunFolder
from keras_rlr.training.run_images import BEFORE, FEEDBACK


@contextlib.contextmanager
def changing(
    run: str | Path, output: str | Path | None = None
) -> Iterator["ChangedRun"]:
    """A `ChangedRun` that no other process trains or changes meanwhile.

    Args:
        run: See `ChangedRun`.
        output: See `ChangedRun`.

    Yields:
        It.

    Raises:
        FileExistsError: If another process has the run that is to be written.
    """
    with ChangedRun(run, output).target.lock():
        # Read again: another process may have changed it before it was locked.
        yield ChangedRun(run, output)


class ChangedRun:
    """A finished run whose model is changed: read first, written at the very end.

    Args:
        run: Its folder, or the `model.keras` in it.
        output: A folder for the changed run; None to change the run itself, which then
            is kept as it was in its folder `before`.

    Raises:
        FileNotFoundError: If there is no finished run.
        FileExistsError: If `output` holds a run.
        ValueError: If the run is damaged, or several processes were started.
    """

    def __init__(self, run: str | Path, output: str | Path | None = None) -> None:
        if processes.count() > 1:
            raise ValueError(
                "Products are added and removed by one process. Start the command once."
            )
        path = Path(run)
        self.run = RunFolder(path.parent if path.name == "model.keras" else path)
        finish_change(self.run.path)
        if not (self.run.model.is_file() and self.run.config.is_file()):
            raise FileNotFoundError(
                f"There is no finished run in '{self.run.path}'. Expected a folder "
                "that `keras-rlr train` wrote, with model.keras and config.json."
            )
        self.config = self.run.read_config(("settings", "data", "training"))
        target = self.run.path if output is None else Path(output)
        same = target.resolve() == self.run.path.resolve()
        self.target = self.run if same else RunFolder(target)
        if self.target is not self.run:
            self.target.check_unused()
        check_writable(self.target.path)

    @property
    def is_in_place(self) -> bool:
        """Whether the run itself is changed."""
        return self.target is self.run

    @property
    def kept(self) -> Path | None:
        """The folder of the run as it was, or None if it stays where it is."""
        return self.run.path / BEFORE if self.is_in_place else None

    @property
    def rate(self) -> float:
        """The false-positive rate that was asked for last, or that of a training.

        That of thresholds may be the smallest that few images allowed.
        """
        calibration = self.config.get("calibration") or {}
        own = "false_positive_rate" if self.is_calibrated else ASKED
        return calibration.get(own) or FALSE_POSITIVE_RATE

    @property
    def is_calibrated(self) -> bool:
        """Whether `calibrate` set the thresholds after the training."""
        return "trained_on" in (self.config.get("calibration") or {})

    def announce_thresholds_anew(self) -> None:
        """Warns where thresholds that `calibrate` set are replaced."""
        if self.is_calibrated:
            warnings.warn(
                "The run's thresholds were set by `keras-rlr calibrate`. They are set "
                "anew from the images that were held out of all products, for the same "
                "rate; call `keras-rlr calibrate` again to use other images.",
                stacklevel=4,
            )

    def load(self) -> AnomalyDetector:
        """The run's model, on as many devices as it was trained on, or all here."""
        wanted = self.config["settings"].get("distribution")
        model = AnomalyDetector.from_preset(
            self.run.model, distribution=devices_of_run(wanted, self.run.path)
        )
        if not model.trained_categories:  # of an earlier version
            model.trained_categories = tuple(self.config["data"]["categories"])
        return model

    def write(self, model: Any, config: dict[str, Any], write_images: Any) -> None:
        """Writes the changed run, all of it in one moment: see `changed_together`.

        Args:
            model: The changed detector.
            config: The new content of `config.json`.
            write_images: Called with the path of `images.csv`.
        """
        if self.is_in_place:
            self._keep_before()
        with changed_together(self.target.path) as place:
            new = RunFolder(place)
            if not self.is_in_place and self.run.history.is_file():
                shutil.copyfile(self.run.history, new.history)
            if not self.is_in_place and (self.run.path / FEEDBACK).is_dir():
                # The run that it comes from may go.
                shutil.copytree(
                    self.run.path / FEEDBACK,
                    self.target.path / FEEDBACK,
                    dirs_exist_ok=True,
                )
            write_images(new.images)
            new.write_json(new.config, config)
            new.write_json(new.environment, describe_environment())
            save_without_optimizer(model, new.model)
        # A training that would go on from it is another model's.
        self.target.checkpoints.remove()

    def _keep_before(self):
        kept = self.run.path / BEFORE
        temporary = Path(tempfile.mkdtemp(prefix=f".{BEFORE}.", dir=self.run.path))
        try:
            for file in (
                *(self.run.model, self.run.config, self.run.history),
                *(self.run.images, self.run.environment),
            ):
                if file.is_file():
                    shutil.copy2(file, temporary / file.name)
            temporary.chmod(self.run.path.stat().st_mode & 0o777)
            shutil.rmtree(kept, ignore_errors=True)
            temporary.rename(kept)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
