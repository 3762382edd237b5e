"""One process at a time trains a run."""

import subprocess
import sys

import pytest

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.training import train
from keras_rlr.training.run_lock import RunLock

pytestmark = pytest.mark.backend_independent

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that trains the run, as far as its folder says."""
    pytest.importorskip("fcntl")
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", HOLD, tmp_path / "run" / ".lock"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"taken\n"
        yield process
        process.stdin.close()


def test_a_run_that_another_process_trains_is_refused(other, tmp_path):
    data = write_procedural_dataset(
        tmp_path / "data", image_size=64, train_per_category=3, categories=["gear"]
    )
    small = {"backbone": "efficientnet_lite2", "levels": (1,), "image_size": 48}
    small["calibration_fraction"] = 0
    cache = tmp_path / "run" / "feature_cache"
    cache.mkdir()
    with pytest.raises(FileExistsError, match="Another process is training"):
        train(data, tmp_path / "run", method="patchcore", **small)
    assert cache.is_dir()  # the other's


def test_it_is_given_back_and_nothing_stays(tmp_path):
    run = tmp_path / "new" / "run"
    first, second = RunLock(run), RunLock(run)
    first.take()
    with pytest.raises(FileExistsError, match="--resume"):
        second.take()
    first.release()
    assert not run.parent.exists()
    run.mkdir(parents=True)  # the user's, which stays
    second.take()
    second.release()
    assert run.is_dir()
    second.take()
    (run / "model.keras").touch()
    second.release()
    assert [path.name for path in run.iterdir()] == ["model.keras"]
