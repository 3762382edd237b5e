"""Runs on two products, to which others are added and from which they are removed."""

import json
import shutil

import pytest

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.training import train
from tests.run_command import run

SMALL = {"backbone": "efficientnet_lite2", "image_size": 48, "seed": 0}
OLD = ["gear", "wood"]


@pytest.fixture(scope="session")
def products(tmp_path_factory):
    """Folders of data sets: "old" of two products, "new" of another one."""
    root = tmp_path_factory.mktemp("products")
    options = {
        "image_size": 64,
        "train_per_category": 10,
        "test_normal": 3,
        "test_anomalous": 3,
    }
    write_procedural_dataset(root / "old", categories=OLD, **options)
    write_procedural_dataset(root / "new", categories=["fabric"], **options)
    return root


@pytest.fixture(scope="session")
def product_runs(products, tmp_path_factory):
    """Runs on the old products: of a memory bank, and of one that learns by steps."""
    root = tmp_path_factory.mktemp("runs")
    train(
        products / "old", root / "patchcore", method="patchcore", levels=(2,),
        coreset_ratio=0.1, calibration_fraction=0.4, standardize_features=True,
        **SMALL,
    )  # fmt: skip
    train(
        products / "old", root / "rlr", epochs=1, levels=(1,), hidden_dims=(16,),
        num_blocks=1, coreset_ratio=0.1, similar_images=2, calibration_fraction=0.4,
        region_of_interest={"gear": [0, 0, 0.5, 1], "wood": [0, 0, 1, 0.5]}, **SMALL,
    )  # fmt: skip
    return root


@pytest.fixture
def bank_run(product_runs, tmp_path):
    return shutil.copytree(product_runs / "patchcore", tmp_path / "run")


@pytest.fixture(scope="session")
def grown_bank_run(products, product_runs, tmp_path_factory):
    """The run of the memory bank with the new product, and what was printed."""
    folder = tmp_path_factory.mktemp("added") / "run"
    shutil.copytree(product_runs / "patchcore", folder)
    result = run("train", "--add", products / "new", "--model", folder, "--json")
    assert result.exit_code == 0, result.stderr
    return folder, json.loads(result.stdout)
