"""One process at a time trains or changes a run."""

import subprocess
import sys

import pytest

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.training import train
from keras_rlr.training.run_folder import RunFolder
from tests.run_command import run

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
    (tmp_path / "run").mkdir(exist_ok=True)
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
    with pytest.raises(FileExistsError, match="Another process is training or"):
        train(data, tmp_path / "run", method="patchcore", **small)
    assert cache.is_dir()  # the other's


def test_nor_is_it_changed_meanwhile(bank_run, other, products, tmp_path):
    judged = tmp_path / "judged.csv"
    image = next((products / "old/gear/test/good").iterdir())
    judged.write_text(f"path,category,verdict\n{image},gear,normal\n")
    before = {path: path.stat().st_mtime_ns for path in bank_run.rglob("*")}
    for words in (
        ("train", "--add", products / "new", "--model", bank_run),
        ("train", "--remove", "wood", "--model", bank_run),
        ("train", "--feedback", judged, "--model", bank_run),
        ("calibrate", "--data", products / "old", "--model", bank_run),
    ):
        result = run(*words)
        assert result.exit_code != 0, words
        assert "Another process is training or changing the run" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in bank_run.rglob("*")} == before
    # A copy is nobody else's.
    copy = tmp_path / "copy"
    words = ("--model", bank_run, "--output", copy)
    assert run("train", "--remove", "wood", *words).exit_code == 0
    assert not (copy / ".lock").exists()


def test_it_is_given_back_and_nothing_stays(tmp_path):
    run = tmp_path / "new" / "run"
    first, second = RunFolder(run).lock(), RunFolder(run).lock()
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
