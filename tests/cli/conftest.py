"""A small run that commands are tried on: it is trained once."""

import shutil
import signal

import pytest

from keras_rlr.datasets import write_procedural_dataset
from tests.fresh_process import start_command
from tests.run_command import run

SMALL = [
    *("--backbone", "efficientnet_lite2", "--levels", "1", "--hidden-dims", "16"),
    *("--image-size", "48", "--batch-size", "8", "--set", "reference_tokens=2"),
    *("--set", "reference_start=samples", "--set", "augmentation=rotate"),
]


@pytest.fixture(scope="session")
def products(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=8,
        test_normal=2,
        test_anomalous=4,
        categories=["gear", "wood"],
    )


@pytest.fixture(scope="session")
def terminated_run(products, tmp_path_factory):
    """A run in a process of its own that got SIGTERM after its first epoch."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    process = start_command(
        *("train", "--data", products, *SMALL, "--output", folder),
        *("--epochs", 100000),
    )
    process.wait_for((folder / "history.csv").exists)
    process.send_signal(signal.SIGTERM)
    done = process.wait()
    return done.returncode, done.stdout, done.stderr, folder


@pytest.fixture(scope="session")
def small_run(terminated_run, products, tmp_path_factory):
    """The same run, resumed elsewhere for two more epochs."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(terminated_run[-1], folder)
    done = len((folder / "history.csv").read_text().splitlines()) - 1
    result = run(
        "train", "--data", products, "--output", folder, "--resume", "--json",
        "--epochs", done + 2,
    )  # fmt: skip
    return result, done, folder
