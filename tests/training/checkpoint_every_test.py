"""Runs that are broken off inside of epochs, on every backend."""

import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.detectors.save_model import read_notes
from keras_rlr.training import TrainingInterrupted, train
from tests.run_command import run as run_command

# The rate of its recipe falls from epoch to epoch, and it has a memory bank.
SMALL = {
    "preset": "rlr_efficientnet_lite2",
    "levels": (1,),
    "image_size": 48,
    "hidden_dims": (16,),
    "num_blocks": 1,
    "batch_size": 3,
    "fuse_levels": True,
    "attentions": ["lca"],
    "calibration_fraction": 0,
}


class BreakAt(keras.callbacks.Callback):
    """Sends a signal before a step, or raises as if the process were lost."""

    def __init__(self, epoch, batch, number=None):
        super().__init__()
        self.place, self.number = (epoch, batch), number

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            if self.number is None:
                raise RuntimeError("lost")
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve images, four batches."""
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=6,
        test_normal=1,
        test_anomalous=2,
        categories=["gear", "wood"],
    )


def names(folder):
    return sorted(path.name for path in folder.glob("*checkpoint*"))


def losses(run):
    return [row["loss"] for row in run["history"]]


def variables(run):
    model = run["model"]
    return [
        keras.ops.convert_to_numpy(variable)
        for variable in (*model.variables, *model.optimizer.variables)
    ]


def test_broken_off_inside_of_epochs_it_is_the_run_that_was_not(data, tmp_path):
    whole = train(data, tmp_path / "whole", epochs=2, **SMALL)
    assert names(tmp_path / "whole") == ["checkpoint.keras"]
    assert whole["model"].bank_size

    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="lost"):
        train(
            data, folder, epochs=2, checkpoint_every=2, callbacks=[BreakAt(0, 3)],
            **SMALL,
        )  # fmt: skip
    # What was done before the first epoch ended is not thrown away.
    assert names(folder) == ["checkpoint-00000000.keras", "checkpoint-00000002.keras"]
    before = read_notes(folder / "checkpoint-00000002.keras")
    assert (before["epoch"], before["batch"]) == (0, 2)
    leftover = folder / ".checkpoint-00000004.abcd.keras"
    leftover.write_bytes(b"half")

    # From a copy, whose files have other times of change.
    copy = shutil.copytree(data, tmp_path / "copy", copy_function=shutil.copyfile)
    for image in copy.rglob("*.png"):
        os.utime(image, ns=(0, 10**18))
    with pytest.raises(TrainingInterrupted):
        train(copy, folder, resume=True, callbacks=[BreakAt(1, 3, signal.SIGTERM)])
    assert names(folder) == ["checkpoint-00000006.keras", "checkpoint-00000007.keras"]
    lines = (folder / "history.csv").read_text().splitlines()
    assert float(lines[1].split(",")[2]) >= round(before["seconds"], 2) > 0

    newest = folder / "checkpoint-00000007.keras"
    newest.write_bytes(newest.read_bytes()[:-1000])
    with pytest.warns(
        UserWarning, match=r"00007\.keras' is damaged .*00006\.keras, and"
    ):
        resumed = train(copy, folder, resume=True)
    assert names(folder) == []
    assert losses(resumed) == losses(whole)
    for found, expected in zip(variables(resumed), variables(whole), strict=True):
        np.testing.assert_array_equal(found, expected)
    rates = [run["config"]["training"]["learning_rate"] for run in (resumed, whole)]
    assert rates == [4e-4, 4e-4]

    if keras.backend.backend() != "torch":
        return
    # What is done stays as it is.
    again = train(copy, folder, resume=True)
    assert losses(again) == losses(whole)
    for found, expected in zip(
        again["model"].get_weights(), resumed["model"].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    config = (folder / "config.json").read_bytes()
    with pytest.raises(ValueError, match="can't be trained for 3"):
        train(copy, folder, resume=True, epochs=3)
    assert (folder / "config.json").read_bytes() == config


@pytest.mark.backend_independent
def test_a_method_without_steps_refuses_checkpoints_inside_of_its_pass(data, tmp_path):
    with pytest.raises(ValueError, match="PaDiM takes no steps, so there is nothing"):
        train(
            data, tmp_path / "run", method="padim", backbone="efficientnet_lite2",
            levels=(1,), image_size=48, checkpoint_every=2,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint_every": 0}, "`checkpoint_every` must be at least 1"),
        ({"checkpoint_every": 2.5}, "`checkpoint_every` must be a whole number"),
        (
            {"checkpoint_every": 2, "keep_checkpoints": 0},
            "`keep_checkpoints` must be at least 1",
        ),
        ({"keep_checkpoints": 2}, "Give that too, or leave it out"),
    ],
)
def test_values_without_sense_are_refused(data, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train(data, tmp_path / "run", **SMALL, **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
def test_the_command_line_takes_the_options(data, tmp_path):
    command = ("train", "--data", data, "--output", tmp_path / "run")
    for option in ("--checkpoint-every", "--keep-checkpoints"):
        result = run_command(*command, option, 0)
        assert result.exit_code == 2
        assert "0 is not in the range x>=1" in result.stderr
    result = run_command(*command, "--keep-checkpoints", 3)
    assert result.exit_code == 2
    assert "`checkpoint_every`" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
def test_how_a_run_is_kept_may_change_when_it_is_resumed(tmp_path):
    from keras_rlr.training.run_folder import RunFolder, run_settings

    run = RunFolder(tmp_path)
    settings = {"seed": 0, "calibration_fraction": 0.1, "checkpoint_every": 5}
    run.write_json(run.config, {"settings": settings})
    found = run_settings({"checkpoint_every": 7, "keep_checkpoints": 3}, run, True)
    assert found == {**settings, "checkpoint_every": 7, "keep_checkpoints": 3}
    assert json.loads(run.config.read_text())["settings"] == settings
