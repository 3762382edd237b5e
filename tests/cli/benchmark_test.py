import csv
import json
import shutil

import numpy as np
import pytest

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.evaluation.paper_tables import TRAINED_ROWS, printed_rows
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=4,
        test_normal=2,
        test_anomalous=2,
        categories=["gear", "wood"],
    )


def test_every_row_is_one_that_the_paper_printed():
    for number in (3, 4, 5):
        assert list(TRAINED_ROWS[number]) and set(TRAINED_ROWS[number]) == set(
            printed_rows(number)
        )
    for number, categories in ((1, 15), (2, 12)):
        printed = printed_rows(number)
        assert set(TRAINED_ROWS[number]) <= set(printed)
        assert all(len(row) == categories + 1 for row in printed.values())


def test_table_5_is_trained_and_printed_beside_the_papers(data, tmp_path):
    output = tmp_path / "table"
    arguments = (
        "benchmark", "tables", "--table", 5, "--data", data, "--output", output,
        "--backbone", "efficientnet_lite2", "--levels", 3, "--hidden-dims", 16,
        "--epochs", 1,
        "--batch-size", 8,
    )  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("Training ") == 3
    # One pass over the images serves all rows.
    (shard,) = (output / "features").glob("*/*.npy")
    assert len(np.load(shard)) == 8
    for printed in ("98.3 / 98.4", "98.6 / 98.5", "98.5 / 98.4"):
        assert printed in result.stdout
    with (output / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 3
    for row in rows:
        folder = output / row["row"].replace(" ", "_") / f"seed_{row['seed']}"
        written = json.loads((folder / "metrics.json").read_text())
        parts = {**written["categories"], "mean": written["mean"]}
        assert float(row["pixel_aupro"]) == parts[row["category"]]["pixel_aupro"]
        config = json.loads((folder / "config.json").read_text())
        assert config["model"]["alpha"] == float(row["row"][-1])
        assert config["data"]["calibration_images"] == 0
        assert config["model"]["seed"] == int(row["seed"])
    again = run(*arguments)
    assert "Training" not in again.stderr
    assert again.stdout == result.stdout


def test_table_2_has_the_other_methods_beside_ours(data, tmp_path):
    result = run(
        "benchmark", "tables", "--table", 2, "--data", data, "--output", tmp_path,
        "--backbone", "efficientnet_lite2", "--levels", 3, "--hidden-dims", 16,
        "--epochs", 1,
        "--categories", "gear", "--seeds", 2,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("Training ") == 2
    for seed in range(2):
        config = json.loads((tmp_path / f"rlr/seed_{seed}/config.json").read_text())
        assert config["model"]["seed"] == seed
    for word in ("UniAD", "OmniAL", "JNLD", "RLR", "ours: image AUROC", "95.9 / 99.2"):
        assert word in result.stdout
    assert "wood" not in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--table", 4, "--levels", 3), "Table 4 compares by --levels; leave it out"),
        (("--table", 4, "--hidden-dims", 16), "Table 4 compares by --hidden-dims"),
        (("--table", 6), "6 is not in the range 1<=x<=5"),
        ((), "Missing option '--table'"),
    ],
)
def test_wrong_use(data, options, message):
    result = run("benchmark", "tables", "--data", data, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_methods_are_trained_and_printed_beside_the_papers(data, tmp_path):
    arguments = (
        "benchmark", "tables", "--table", 1, "--data", data, "--output", tmp_path,
        "--backbone", "efficientnet_lite2", "--methods", "patchcore,padim",
        "--categories", "gear", "--epochs", 1, "--recipe", "paper", "--levels", 3,
    )  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("Training ") == 2
    assert "PatchCore has no use for --recipe, --epochs." in result.stderr
    for word in ("PatchCore", "98.8 / 98.3", "PaDiM", "OmniAL", "97.2 / 98.3", "MiB"):
        assert word in result.stdout
    for method in ("patchcore", "padim"):
        written = json.loads((tmp_path / method / "seed_0/metrics.json").read_text())
        assert written["cost"]["training_seconds"] > 0
        assert written["cost"]["milliseconds_an_image"] > 0
        size = (tmp_path / method / "seed_0/model.keras").stat().st_size
        assert written["cost"]["model_bytes"] == size
    rows = list(csv.DictReader((tmp_path / "table.csv").open(newline="")))
    assert {row["row"] for row in rows} == {"PatchCore", "PaDiM"}
    assert run(*arguments).stdout == result.stdout
    check_that_figures_are_of_what_is_asked_for(arguments, tmp_path, data)


def check_that_figures_are_of_what_is_asked_for(arguments, output, data):
    """Of other options and images finished runs are not a row's."""
    for other, message in (
        (("--batch-size", 4), "begun without batch_size, and this row is with"),
        (("--levels", 2), "begun with levels [3], and this row is with levels [2]"),
    ):
        result = run(*arguments, *other)
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())
    copy = shutil.copytree(data, output / "copy")
    moved = [copy if part == data else part for part in arguments]
    (image, *_) = sorted((copy / "gear" / "test" / "good").iterdir())
    image.unlink()
    result = run(*moved)
    assert result.exit_code == 0, result.stderr
    measured = json.loads((output / "padim/seed_0/metrics.json").read_text())
    assert measured["data"]["images"] == 3
    (image, *_) = sorted((copy / "gear" / "train" / "good").iterdir())
    image.unlink()
    result = run(*moved)
    assert result.exit_code == 2
    assert "are not those that the run in" in " ".join(result.stderr.split())
