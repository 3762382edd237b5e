"""A training that is killed at any rename or removal leaves a run of one piece."""

import json
import shutil
import signal
import warnings

import pytest

from keras_rlr.cli.model_location import load_run, run_config
from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.training.run_folder import RunFolder, run_settings
from tests.fresh_process import run_fresh
from tests.run_command import run as run_command

# The renames are the same on every backend.
pytestmark = pytest.mark.backend_independent

SETTINGS = {
    "backbone": "efficientnet_lite2",
    "levels": [1],
    "image_size": 48,
    "hidden_dims": [16],
    "num_blocks": 1,
    "attentions": ["lca"],
    "coreset_ratio": 0.0,
    "batch_size": 4,
    "epochs": 1,
    "calibration_fraction": 0.3,
    "checkpoint_every": 2,
}
# It is killed before a rename or removal in the run's folder, counted from 1; one that
# is not killed tells what they were of.
KILLED = """
import json, os, signal, sys
from keras_rlr.cli.main import cli
from keras_rlr.training import train

run, last, code = sys.argv[1:]
events = []

def counted(real):
    def call(path, *others, **options):
        if os.fspath(path).startswith(run + os.sep):
            events.append(os.path.relpath(path, run))
            if len(events) == int(last):
                os.kill(os.getpid(), signal.SIGKILL)
        return real(path, *others, **options)
    return call

for name in ("replace", "rename", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
exec(code)
print(json.dumps(events))
"""


def killed(folder, event, code):
    """Has code killed before an event; returns all events if there is no such."""
    ended = run_fresh(KILLED, folder, event, code)
    if event:
        assert ended.returncode == -signal.SIGKILL
        return []
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


def started(data, run, event=0, **settings):
    """A training that is killed before an event."""
    return killed(run, event, f"train({str(data)!r}, run, **{settings!r})")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=6,
        test_normal=1,
        test_anomalous=1,
        categories=["gear"],
    )


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nobody killed, and its events."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, started(data, run, **SETTINGS)


def test_killed_as_it_begins_it_begins_again_or_goes_on(data, tmp_path):
    for event in range(1, 5):
        folder = tmp_path / str(event)
        started(data, folder, event, **SETTINGS)
        run = RunFolder(folder)
        is_begun = event > 1
        assert run.config.exists() == is_begun
        # Neither is refused for what lies there, nor sent to the other.
        settings = run_settings({} if is_begun else SETTINGS, run, resume=is_begun)
        assert settings["hidden_dims"] == [16]
    assert run.images.is_file() and not run.checkpoints.found()


def test_killed_as_it_ends_model_and_record_are_of_one_run(
    data, whole, tmp_path, monkeypatch
):
    whole, events = whole
    expected = run_config(whole)
    end = next(i for i, name in enumerate(events, 1) if name.startswith(".keras_rlr_c"))
    almost = tmp_path / "almost"
    started(data, almost, end, **SETTINGS)
    assert not (almost / "model.keras").exists()
    shutil.copytree(almost, tmp_path / "resumed")
    events = started(data, tmp_path / "resumed", resume=True)
    assert events.pop() == ".lock"  # given back at the very end
    # The model, the record, both together, each to its place, two checkpoints.
    first = next(i for i, name in enumerate(events, 1) if name.startswith(".keras_rlr"))
    assert len(events) - first + 1 == 7
    monkeypatch.chdir(tmp_path)
    for event in range(first, len(events) + 1):
        place = tmp_path / "runs" / "data"
        shutil.copytree(almost, place)
        started(data, place, event, resume=True)
        is_decided = event > first + 2
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # What nobody has finished is finished by whatever comes next.
            if event == first + 3:
                result = run_command("evaluate", "--data", data)
                assert result.exit_code == 0, result.output
                assert "it is complete now" in result.output
            config = run_config(place)
        completed = [str(one.message) for one in caught if "complete" in str(one)]
        assert len(completed) == (event == first + 4)
        assert (place / "model.keras").exists() == is_decided
        if is_decided:
            assert config["trained_epochs"] == 1
            assert config["calibration"] == expected["calibration"]
            assert load_run(place).threshold == expected["calibration"]["threshold"]
        else:
            assert (config["trained_epochs"], config["calibration"]) == (0, None)
        # An older checkpoint would have it train again.
        newest = RunFolder(place).checkpoints.newest()
        assert newest is not None and newest[1].epoch == 1
        if event < len(events):
            shutil.rmtree(place)
    started(data, place, resume=True)
    assert not RunFolder(place).checkpoints.found()
    assert run_config(place)["calibration"] == expected["calibration"]
    histories = [RunFolder(run).read_history() for run in (place, almost)]
    assert histories[0] == histories[1]


def test_an_evaluation_that_is_killed_leaves_no_files_of_two(data, whole, tmp_path):
    def evaluate(event, size):
        words = ["evaluate", "--data", data, "--model", whole[0], "--output", tmp_path]
        words = list(map(str, [*words, "--map-size", size]))
        return killed(tmp_path, event, f"cli({words!r}, standalone_mode=False)")

    evaluate(0, "model")
    # Two removals; the figures are renamed, their table, and the report.
    for event in (4, 5):
        evaluate(event, "original")
        figures = json.loads((tmp_path / "metrics.json").read_text())
        assert figures["protocol"]["map_size"] == "original"
        assert not (tmp_path / "report.html").exists()
        assert (tmp_path / "metrics.csv").exists() == (event == 5)
    assert len(evaluate(0, "model")) == 5
    assert (tmp_path / "report.html").exists()
