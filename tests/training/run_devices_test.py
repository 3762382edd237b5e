"""Runs of a machine with many devices go on where there are fewer."""

import json
import shutil

import pytest

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.detectors.distribution import count_devices
from keras_rlr.training import train
from keras_rlr.training.changed_run import ChangedRun
from tests.tiny_model import SMALL_RUN

SMALL = {**SMALL_RUN, "calibration_fraction": 0}
MANY = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=5,
        test_normal=1,
        test_anomalous=1,
        categories=["gear"],
    )


def test_a_run_of_many_devices_goes_on_with_those_that_are_there(data, tmp_path):
    folder = tmp_path / "run"
    train(data, folder, epochs=1, **SMALL)
    same = shutil.copytree(folder, tmp_path / "same")
    expected = train(data, same, epochs=2, resume=True)
    # As the machine with many devices wrote it.
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["distribution"] = MANY
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="begun on 64 devices, and 1 can be used"):
        ChangedRun(folder).load()
    with pytest.raises(ValueError, match="distribution=63"):
        train(data, folder, epochs=2, resume=True, distribution=MANY - 1)
    with pytest.warns(UserWarning, match="begun on 64 devices, and 1 can be used"):
        resumed = train(data, folder, epochs=2, resume=True)
    losses = [[row["loss"] for row in run["history"]] for run in (expected, resumed)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert count_devices() == 1
    assert resumed["config"]["settings"]["distribution"] == 1
    # And asked for, another number is no other run.
    train(data, folder, epochs=3, resume=True, distribution=1)
