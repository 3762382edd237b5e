"""Two processes on this machine train, resume and score as one does."""

import json
import os
import signal
import socket
import time
import zlib

import keras
import numpy as np
import pytest

from keras_rlr import processes
from keras_rlr.datasets import FolderDataset, write_procedural_dataset
from keras_rlr.training import train
from tests.fresh_process import FreshProcess, start_command
from tests.run_command import run as run_command

BACKEND = keras.backend.backend()
MOST_SECONDS = 300
SETTINGS = {
    "backbone": "efficientnet_lite2",
    "levels": (1,),
    "image_size": 48,
    "hidden_dims": (16,),
    # Of 12 or 14 images; two processes don't share five evenly.
    "batch_size": 5,
    "num_blocks": 1,
    "similar_images": 3,
}
# JAX compiles for each of these, and nothing in them is its own.
SETTINGS |= (
    {"coreset_ratio": 0.1, "calibration_fraction": 0.1, "attentions": ["mlka", "lca"]}
    if BACKEND == "torch"
    else {"coreset_ratio": 0.0, "calibration_fraction": 0.0, "attentions": ["lca"]}
)
OPTIONS = f"""--backbone efficientnet_lite2 --levels 1 --image-size 48 --hidden-dims 16
--batch-size 5 --set num_blocks=1 --set similar_images=3
--set attentions={json.dumps(SETTINGS["attentions"], separators=(",", ":"))}
--coreset-ratio {SETTINGS["coreset_ratio"]}
--calibration-fraction {SETTINGS["calibration_fraction"]}"""

SCRIPT = """
import json, sys
import keras_rlr_command

data, run, found, options = sys.argv[1:]
words = ["train", "--data", data, "--output", run, *options.split()]
for more in (["--epochs", "1"], ["--epochs", "2", "--resume"]):
    sys.argv[1:] = words + more
    try:
        keras_rlr_command.main()
    except SystemExit as end:
        if end.code:
            raise

import keras
import numpy as np
from keras_rlr import processes
from keras_rlr.datasets import FolderDataset
from tests.training.processes_test import scored

assert processes.count() == 2
model = keras.saving.load_model(run + "/model.keras")
np.savez(f"{found}_{processes.rank()}.npz", **scored(model, data))
"""


def scored(model, data):
    """What `predict` and `evaluate` say, in batches that two don't share evenly."""
    test = FolderDataset(data, "test")
    outputs = model.predict(test, batch_size=5, verbose=0)
    if BACKEND == "torch":
        figures = model.evaluate(test, batch_size=5, verbose=0)
        outputs["figures"] = np.array(figures)
    return outputs


def variables_of(number, count, port):
    """What the environment of a process says."""
    if BACKEND == "jax":
        return {
            "JAX_PLATFORMS": "cpu",
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
            "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
            "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
        }
    return {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run_two(code, *arguments):
    """The results of two processes; whatever happens, none is left."""
    port = free_port()
    started = []
    try:
        for number in range(2):
            environment = variables_of(number, 2, port)
            started.append(FreshProcess(code, *arguments, environment=environment))
        ends = time.monotonic() + MOST_SECONDS
        return [one.wait(max(ends - time.monotonic(), 1)) for one in started]
    finally:
        for one in started:
            one.send_signal(signal.SIGKILL)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="has devices, but no processes")
def test_two_processes_train_what_one_does(tmp_path):
    data = write_procedural_dataset(
        tmp_path / "data",
        image_size=64,
        train_per_category=7,
        test_normal=1,
        test_anomalous=2,
        categories=["gear", "wood"],
    )
    # Its learning rate depends on the number of epochs.
    train(data, tmp_path / "one", epochs=1, **SETTINGS)
    one = train(data, tmp_path / "one", epochs=2, resume=True)
    run, found, cache = (tmp_path / name for name in ("two", "found", "cache"))
    options = f"{OPTIONS} --feature-cache {cache}"
    results = run_two(SCRIPT, data, run, found, options)
    for result in results:
        assert result.returncode == 0, result.stderr[-3000:]

    # Each computed the features of its part of the images, and none of another's.
    shards = [json.loads(file.read_text())["keys"] for file in cache.glob("*/*.json")]
    parts = [{zlib.crc32(key.encode()) % 2 for key in keys} for keys in shards]
    assert sorted(parts, key=min) == [{0}, {1}]
    assert sum(map(len, shards)) == len(set().union(*shards))
    assert sum(map(len, shards)) == (12 if BACKEND == "torch" else 14)

    # One writes and speaks.
    names = [sorted(p.name for p in tmp_path.glob(f"{k}/*")) for k in ("one", "two")]
    assert names[0] == names[1]
    assert "The model is in" in results[0].stdout and results[1].stdout == ""
    assert "process 1 of 2" in results[1].stderr
    assert "1 place of 6 hold" in results[0].stderr

    rows = (run / "history.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[1]) for row in rows]
    expected = [row["loss"] for row in one["history"]]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    config = json.loads((run / "config.json").read_text())
    if BACKEND == "torch":
        threshold = one["config"]["calibration"]["threshold"]
        assert config["calibration"]["threshold"] == pytest.approx(threshold, rel=1e-5)
    model = keras.saving.load_model(run / "model.keras")
    weights = zip(model.weights, one["model"].weights, strict=True)
    for two, of_one in weights:
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(two),
            keras.ops.convert_to_numpy(of_one),
            rtol=1e-5,
            # A key's bias changes no attention: its gradient is rounding alone, which
            # Adam enlarges.
            atol=1e-4 if of_one.path.endswith("key/bias") else 1e-5,
            err_msg=of_one.path,
        )
    expected = scored(one["model"], data)
    for number in range(2):
        with np.load(f"{found}_{number}.npz") as arrays:
            assert set(arrays) == set(expected)
            for name, values in expected.items():
                np.testing.assert_allclose(arrays[name], values, rtol=1e-4, atol=1e-5)


def seconds_to_meet(seconds):
    return {"KERAS_RLR_INITIALIZATION_TIMEOUT": str(seconds)}


@pytest.mark.skipif(BACKEND == "tensorflow", reason="has no processes")
@pytest.mark.parametrize("number", [0, 1])
def test_one_whose_other_never_starts_says_so(tmp_path, number):
    environment = variables_of(number, 2, free_port()) | seconds_to_meet(2)
    words = ["train", "--data", tmp_path, "--output", tmp_path / "run"]
    result = start_command(*words, environment=environment).wait(MOST_SECONDS)
    assert result.returncode == 2
    sentence = "2 processes that are to train together did not meet: "
    assert sentence in result.stderr and "wait 2 seconds" in result.stderr
    assert "Traceback" not in result.stderr and result.stdout == ""
    assert not (tmp_path / "run").exists()


# Whatever their imports take, they begin to meet together, or once a file is there.
JOINED = """
import os, sys, time
from pathlib import Path
import keras
from keras_rlr import processes

folder, names, seconds = sys.argv[1:]
number = os.environ.get("RANK") or os.environ["KERAS_DISTRIBUTION_PROCESS_ID"]
Path(folder, number).touch()
while not all(Path(folder, name).exists() for name in names):
    time.sleep(0.05)
print("begun", flush=True)
processes.join()
if processes.rank():
    time.sleep(float(seconds))
print(processes.gather(processes.rank()), flush=True)
"""


@pytest.mark.skipif(BACKEND == "tensorflow", reason="has no processes")
def test_one_that_is_killed_before_all_have_met_is_not_waited_for(tmp_path):
    port = free_port()
    started = {}
    try:
        for number, names in enumerate(["012", "012", "012x"]):
            environment = variables_of(number, 3, port) | seconds_to_meet(10)
            arguments = (tmp_path, names, 0)
            started[number] = FreshProcess(JOINED, *arguments, environment=environment)
        killed = started[1]
        killed.wait_for(lambda: "begun" in killed.written()[0])
        time.sleep(2)  # It waits for the third by now.
        killed.send_signal(signal.SIGKILL)
        assert killed.wait(MOST_SECONDS).returncode == -signal.SIGKILL
        assert started[0].poll() is None
        (tmp_path / "x").touch()
        for number in (0, 2):
            result = started[number].wait(MOST_SECONDS)
            assert result.returncode == 1
            assert "train together did not meet: " in result.stderr
            if BACKEND == "jax" and number == 0:  # The third had come.
                assert "heard of process 1 at" in result.stderr
    finally:
        for one in started.values():
            one.send_signal(signal.SIGKILL)


@pytest.mark.skipif(BACKEND != "torch", reason="JAX's have other times")
def test_those_that_have_met_wait_longer_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_RLR_INITIALIZATION_TIMEOUT", "10")
    for result in run_two(JOINED, tmp_path, "01", 12):
        assert result.stdout == "begun\n[0, 1]\n", result.stderr[-3000:]


def test_a_single_process_is_the_writer_and_agrees_with_itself():
    assert processes.shard() == (0, 1) and processes.is_writer()
    assert processes.gather({"a": 1}) == [{"a": 1}]
    assert processes.told(lambda: 3) == processes.agreed(lambda: 3) == 3
    assert processes.first_of(None) is None
    processes.check_same("images", [1])
    processes.wait()
    with pytest.raises(RuntimeError, match="^gloo failed"), processes.noticing_losses():
        raise RuntimeError("gloo failed")


def test_variables_that_do_not_suit_are_refused(monkeypatch):
    for name in list(os.environ):
        if name.startswith("KERAS_DISTRIBUTION_"):
            monkeypatch.delenv(name)
    for name in ("WORLD_SIZE", "RANK", "TF_CONFIG", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert processes.expected() == 1
    with monkeypatch.context() as patch:
        patch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
        match = {
            "jax": "PROCESS_ID, KERAS_DISTRIBUTION_JOB_ADDRESSES is not set",
            "torch": "takes its processes from torchrun",
            "tensorflow": "can't train together on TensorFlow",
        }[BACKEND]
        with pytest.raises(ValueError, match=match):
            processes.expected()
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        patch.setenv("TORCHELASTIC_RUN_ID", "7")
        match = "RANK, MASTER_ADDR" if BACKEND == "torch" else "Set KERAS_BACKEND=torch"
        with pytest.raises(ValueError, match=match):
            processes.expected()
    if BACKEND == "tensorflow":
        workers = {"cluster": {"worker": ["a:1", "b:1"]}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(workers))
        with pytest.raises(ValueError, match="can't train together on TensorFlow"):
            processes.expected()
        return
    for name, value in variables_of(2, 2, 1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="counts from 0 to 1"):
        processes.expected()
    for name, value in variables_of(0, 2, 1).items():
        monkeypatch.setenv(name, value)
    assert processes.expected() == 2
    with pytest.raises(ValueError, match="at least 1 second to meet. Received: 0"):
        processes.join(0)
    # Only training is shared.
    result = run_command("info")
    assert result.exit_code == 2
    assert "which only `keras-rlr train` does" in result.output
