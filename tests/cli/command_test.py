"""The commands as a user runs them, on small data, one after the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_rlr.datasets import FolderDataset
from tests.run_command import run

# That a training is interrupted and resumed is tested on every backend in train_test.
pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[2]


def test_a_signal_stops_training_with_a_checkpoint(terminated_run):
    code, stdout, stderr, folder = terminated_run
    assert code == 143, stderr
    assert stdout == ""
    assert f"Backend: {keras.backend.backend()}" in stderr
    assert "epoch 1/100000  loss " in stderr
    assert f"The run is in {folder}: --resume continues it." in stderr
    assert "Stopped by SIGTERM." in stderr
    assert "Traceback" not in stderr
    assert (folder / "checkpoint.keras").exists()
    assert not (folder / "model.keras").exists()
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_resume_prints_one_object(small_run):
    result, done, folder = small_run
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["epochs"] == done + 2
    assert summary["output"] == str(folder)
    assert summary["training_images"] == 14
    settings = json.loads((folder / "config.json").read_text())["settings"]
    assert settings["reference_tokens"] == 2
    assert settings["augmentation"] == "rotate"
    assert summary["calibration"]["images"] == 2
    assert "Warning: 2 images were held out for calibration" in result.stderr
    assert f"epoch {done + 2}/{done + 2}  loss" in result.stderr


def test_evaluate_prints_a_table_or_one_object(small_run, products, tmp_path):
    folder = small_run[-1]
    arguments = ("evaluate", "--data", products, "--model", folder)
    as_json = run(*arguments, "--json", "--output", tmp_path / "results")
    assert as_json.exit_code == 0, as_json.stderr
    result = json.loads(as_json.stdout)
    assert list(result) == ["categories", "mean", "pooled"]
    assert list(result["categories"]) == ["gear", "wood"]
    for figures in (*result["categories"].values(), result["mean"], result["pooled"]):
        assert list(figures) == [
            *("image_auroc", "image_ap", "image_f1_max"),
            *("pixel_auroc", "pixel_ap", "pixel_f1_max", "pixel_aupro"),
        ]
        assert all(0 <= value <= 1 for value in figures.values())
    written = json.loads((tmp_path / "results" / "metrics.json").read_text())
    assert {key: written[key] for key in result} == result
    assert written["protocol"]["selected_on_test_set"] is False
    assert written["protocol"]["epoch"] == small_run[1] + 2
    assert (
        written["data"]["fingerprint"] == FolderDataset(products, "test").fingerprint()
    )
    assert sum(written["confusion"]["gear"].values()) == 6
    model = keras.saving.load_model(folder / "model.keras")
    expected = model.evaluate(
        FolderDataset(products, "test"), verbose=0, return_dict=True
    )
    for name, value in result["pooled"].items():
        assert value == pytest.approx(expected[name], abs=1e-6)
    table = run(*arguments, "--categories", "wood")
    assert (folder / "evaluation" / "report.html").is_file()
    assert table.exit_code == 0
    rows = [line for line in table.stdout.splitlines() if "wood" in line]
    assert f"{100 * result['categories']['wood']['pixel_auroc']:.1f}" in rows[0]
    assert "gear" not in table.stdout
    assert "pooled" in table.stdout


def test_info_describes_a_model_and_the_environment(small_run):
    facts = json.loads(run("info", "--model", small_run[-1], "--json").stdout)
    assert facts["levels"] == [1] and facts["image_size"] == 48
    parameters = facts["parameters"]
    total = parameters.pop("total")
    assert sum(parameters.values()) == total
    assert facts["threshold"] > 0
    facts = json.loads(run("info", "--json").stdout)
    assert facts["backend"] in facts["installed_backends"]
    assert "rlr_efficientnet_lite2" in facts["presets"]
    assert "threshold" in run("info", "--model", small_run[-1]).stdout


def test_a_run_is_not_overwritten(small_run, products):
    before = (small_run[-1] / "config.json").read_bytes()
    result = run("train", "--data", products, "--output", small_run[-1])
    assert result.exit_code == 2
    assert "already holds a run" in result.stderr and "--resume" in result.stderr
    assert (small_run[-1] / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ([], "is no data set"),
        (["photos/a.png"], "is no data set"),
        (["bottle/train/good/"], "There are no images in"),
        (None, "There is no folder"),
    ],
)
@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_what_is_no_data_set_is_refused_and_nothing_written(
    tmp_path, name, layout, message
):
    data = tmp_path / "data"
    for entry in layout or ():
        folder = data / entry if entry.endswith("/") else (data / entry).parent
        folder.mkdir(parents=True, exist_ok=True)
        if not entry.endswith("/"):
            (data / entry).touch()
    if layout == []:
        data.mkdir()
    if name == "evaluate" and layout == ["bottle/train/good/"]:
        message = "has no folder"
    result = run(name, "--data", data, "--output", tmp_path / "output")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "output").exists()


def test_evaluate_without_a_model_names_the_command_that_makes_one(
    products, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = run("evaluate", "--data", products)
    assert result.exit_code == 2
    assert f"`keras-rlr train --data {products}`" in result.stderr
    assert os.path.join("runs", "data") in result.stderr
    assert "--train" in result.stderr


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("missing.keras", "There is no model"),
        ("notes.txt", "is no model"),
        ("broken.keras", "can't be loaded as a model"),
        (".", "has no model.keras"),
        ("rlr_efficientnet_lite2", "There is no model"),
    ],
)
def test_what_is_no_model_is_refused(products, tmp_path, monkeypatch, model, message):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("mine")
    Path("broken.keras").write_bytes(b"PK\x03\x04")
    for arguments in (
        ("evaluate", "--data", products, "--output", "output"),
        ("predict", products, "--output", "output"),
        ("info",),
    ):
        result = run(*arguments, "--model", model)
        assert result.exit_code == 2
        assert message in result.stderr
    assert not Path("output").exists()


# The command, and then what it has imported, and whether it can import the rest.
NOTED = """
import json, os, sys
from pathlib import Path
import keras_rlr_command

libraries = {"jax", "matplotlib", "pandas", "sklearn", "tensorflow", "torch"}
file = Path(sys.argv.pop(1))
try:
    keras_rlr_command.main()
finally:
    imported = sorted(libraries & sys.modules.keys())
    assert not any("KERAS_RLR" in name for name in os.environ)
    import jax, matplotlib.pyplot, pandas, sklearn.base
    file.write_text(json.dumps(imported))
"""


def test_standard_error_has_our_own_lines_alone(tmp_path):
    """In a process of its own: the libraries write theirs when they are imported."""
    arguments = (tmp_path / "imported.json", "train", "--data", tmp_path / "no")
    done = subprocess.run(
        [sys.executable, "-c", NOTED, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert not done.stdout
    backend, *error = done.stderr.splitlines()
    assert backend == f"Backend: {keras.backend.backend()}"
    assert "no" in error[0] and len(error) <= 2, done.stderr
    # Of what Keras imports if it is there, none takes a user's time.
    imported = json.loads((tmp_path / "imported.json").read_text())
    assert imported == [keras.backend.backend()]
