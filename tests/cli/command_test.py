"""The commands as a user runs them, on small data, one after the other."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_rlr
from keras_rlr.datasets import (
    FolderDataset,
    find_images,
    read_image,
    write_procedural_dataset,
)
from tests.fresh_process import start_command
from tests.run_command import run

# That a training is interrupted and resumed is tested on every backend in train_test.
pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[2]
SMALL = [
    *("--backbone", "efficientnet_lite2", "--levels", "1", "--hidden-dims", "16"),
    *("--image-size", "48", "--batch-size", "8", "--set", "reference_tokens=2"),
    *("--set", "reference_start=samples", "--set", "augmentation=rotate"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=8,
        test_normal=2,
        test_anomalous=4,
        categories=["gear", "wood"],
    )


@pytest.fixture(scope="module")
def terminated(data, tmp_path_factory):
    """A run in a process of its own that got SIGTERM after its first epoch."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    process = start_command(
        *("train", "--data", data, *SMALL, "--output", folder, "--epochs", 100000)
    )
    process.wait_for((folder / "history.csv").exists)
    process.send_signal(signal.SIGTERM)
    done = process.wait()
    return done.returncode, done.stdout, done.stderr, folder


@pytest.fixture(scope="module")
def trained(terminated, data):
    """The same run, resumed for two more epochs."""
    folder = terminated[-1]
    done = len((folder / "history.csv").read_text().splitlines()) - 1
    result = run(
        "train", "--data", data, "--output", folder, "--resume", "--json",
        "--epochs", done + 2,
    )  # fmt: skip
    return result, done, folder


def test_a_signal_stops_training_with_a_checkpoint(terminated):
    code, stdout, stderr, folder = terminated
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


def test_resume_prints_one_object(trained):
    result, done, folder = trained
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


def test_evaluate_prints_a_table_or_one_object(trained, data, tmp_path):
    folder = trained[-1]
    arguments = ("evaluate", "--data", data, "--model", folder)
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
    assert written["protocol"]["epoch"] == trained[1] + 2
    assert written["data"]["fingerprint"] == FolderDataset(data, "test").fingerprint()
    assert sum(written["confusion"]["gear"].values()) == 6
    model = keras.saving.load_model(folder / "model.keras")
    expected = model.evaluate(FolderDataset(data, "test"), verbose=0, return_dict=True)
    for name, value in result["pooled"].items():
        assert value == pytest.approx(expected[name], abs=1e-6)
    table = run(*arguments, "--categories", "wood")
    assert (folder / "evaluation" / "report.html").is_file()
    assert table.exit_code == 0
    rows = [line for line in table.stdout.splitlines() if "wood" in line]
    assert f"{100 * result['categories']['wood']['pixel_auroc']:.1f}" in rows[0]
    assert "gear" not in table.stdout
    assert "pooled" in table.stdout


def test_predict_writes_scores_and_overlays(trained, data, tmp_path):
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    shutil.copy(data / "gear" / "test" / "good" / "000.png", images / "a.png")
    large = np.random.default_rng(0).integers(0, 256, (700, 900, 3), "uint8")
    Image.fromarray(large).save(images / "sub" / "large.jpg")
    (images / "sub" / "broken.png").write_bytes(b"no image")
    output = tmp_path / "predictions"
    result = run("predict", images, "--model", trained[-1], "--output", output)
    assert result.exit_code == 0, result.stderr
    assert "1 of 3 images could not be read" in result.stderr
    with (output / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["a.png", "sub/broken.png", "sub/large.jpg"]
    model = keras.saving.load_model(trained[-1] / "model.keras")
    expected = model.predict([read_image(images / "sub" / "large.jpg")], verbose=0)
    assert float(rows[2]["anomaly_score"]) == pytest.approx(
        float(expected["anomaly_score"][0]), rel=1e-5
    )
    assert rows[2]["is_anomalous"] == str(bool(expected["is_anomalous"][0])).lower()
    assert rows[1]["error"] and not rows[1]["anomaly_score"]
    assert Image.open(output / "overlays" / "sub" / "large.png").size[1] == 398
    assert (output / "overlays" / "a.png").exists()


def test_predict_writes_regions_and_maps(trained, data, tmp_path):
    folder = shutil.copytree(trained[-1], tmp_path / "run")
    images = tmp_path / "images"
    images.mkdir()
    # By the threshold of all products, because no folder is called like one.
    good, bad = (
        sorted((data / "gear" / "test").glob(p))[0] for p in ("good/*", "[!g]*/*")
    )
    for name, file in (("good.png", good), ("bad.png", bad)):
        Image.open(file).resize((150, 100)).save(images / name)
    output = tmp_path / "predictions"
    words = ("predict", images, "--model", folder, "--output", output, "--regions")
    model = keras.saving.load_model(folder / "model.keras")
    maps = model.predict(
        [read_image(images / name) for name in ("bad.png", "good.png")],
        verbose=0,
        original_size=True,
    )["anomaly_map"]
    # Whatever its few normal images gave, the worst pixels are above this.
    threshold = float(np.quantile(maps[0], 0.9))
    model.thresholds.pixels = type(model.thresholds.pixels)(threshold)
    model.save(folder / "model.keras")
    result = run(*words, "--maps", "tiff")
    assert result.exit_code == 0, result.stderr
    found = json.loads((output / "regions.json").read_text())
    expected = [keras_rlr.regions(values, threshold) for values in maps]
    counts = [len(regions) for regions in expected]
    assert f"Regions: {sum(counts)} in {np.count_nonzero(counts)} images, in " in (
        result.stdout
    )
    assert "Values of a map are offset + scale * pixel" in result.stdout
    assert [image["width"] for image in found["images"]] == [150, 150]
    areas = [region.area for regions in expected for region in regions]
    assert [each["area"] for each in found["annotations"]] == areas and sum(areas) > 900
    result = run(*words, "--maps", "npy", "--json")
    assert [row["regions"] for row in json.loads(result.stdout)["scores"]] == counts
    stored = np.load(output / "anomaly_maps" / "bad.npy")
    np.testing.assert_allclose(stored, maps[0], rtol=1e-4)
    # As of a file of an earlier version.
    model.thresholds.pixels = type(model.thresholds.pixels)()
    model.save(folder / "model.keras")
    result = run(*words)
    assert result.exit_code == 0
    assert "earlier version and has no pixel threshold" in result.stderr
    model.thresholds.forget()
    model.save(folder / "model.keras")
    result = run(*words[:-2], tmp_path / "new", "--regions")
    assert result.exit_code == 2 and not (tmp_path / "new").exists()
    assert "The model has no threshold, so there is nothing to say" in result.stderr


def test_predict_decides_as_evaluate_does(trained, data, tmp_path):
    folder = shutil.copytree(trained[-1], tmp_path / "run")
    model = keras.saving.load_model(folder / "model.keras")
    test = FolderDataset(data, "test")
    scores = model.predict(test, verbose=0)["anomaly_score"]
    # Thresholds of their own that split each category's images, and no other's.
    middle = {
        name: float(np.median(scores[[s.category == name for s in test.samples]]))
        for name in test.categories
    }
    model.thresholds.threshold_weight.assign(1e9)
    model.thresholds._by_category = tuple(middle.items())
    model.save(folder / "model.keras")
    result = run("evaluate", "--data", data, "--model", folder, "--output", tmp_path)
    assert result.exit_code == 0, result.stderr
    counts = json.loads((tmp_path / "metrics.json").read_text())["confusion"]
    called = {n: c["true_positive"] + c["false_positive"] for n, c in counts.items()}
    output = tmp_path / "predictions"
    found = json.loads(
        run("predict", data, "--model", folder, "--output", output, "--json").stdout
    )
    decided = dict.fromkeys(middle, 0)
    for row in found["scores"]:
        if "/test/" in row["path"]:
            decided[row["category"]] += row["is_anomalous"]
    assert decided == called and set(called.values()) == {3}
    # Where no folder is called so, the category can be named.
    shutil.copytree(data / "gear" / "test", tmp_path / "photographs")
    arguments = ("predict", tmp_path / "photographs", "--model", folder)
    result = run(*arguments, "--output", output, "--category", "gear")
    assert "Images of gear scored: 6; anomalous" in result.stdout
    assert result.stdout.split("): ")[1].startswith("3.")
    result = run(*arguments, "--output", output)
    assert "Images scored: 6; anomalous (score at least 1e+09): 0." in result.stdout
    result = run(*arguments, "--output", output, "--category", "screw")
    assert result.exit_code == 2
    assert "knows no category 'screw'. It knows: gear, wood." in result.stderr
    model.thresholds._by_category = (("gear", middle["gear"]),)
    model.save(folder / "model.keras")
    result = run(*arguments, "--output", output, "--category", "wood")
    assert result.exit_code == 0 and "no threshold of 'wood'" in result.stderr


def test_predict_that_is_terminated_keeps_what_was_done(trained, data, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    source = data / "gear" / "test" / "good" / "000.png"
    for i in range(3000):
        (images / f"{i:04}.png").symlink_to(source)
    output = tmp_path / "predictions"
    words = ("predict", images, "--model", trained[-1], "--output", output)
    process = start_command(*words)
    process.wait_for(lambda: any(output.glob("overlays/*")))
    process.send_signal(signal.SIGTERM)
    done = process.wait()
    assert done.returncode == 143
    assert "What was done is in" in done.stderr and "Traceback" not in done.stderr
    with (output / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert 0 < len(rows) < 3000
    assert all(float(row["anomaly_score"]) > 0 for row in rows)


def test_predict_fails_when_every_image_does(trained, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    output = tmp_path / "predictions"
    arguments = ("predict", tmp_path / "broken.png", "--model", trained[-1])
    result = run(*arguments, "--output", output, "--json")
    assert result.exit_code == 1
    summary = json.loads(result.stdout)
    assert (summary["images"], summary["failed"]) == (1, 1)
    assert summary["scores"][0]["anomaly_score"] is None


def test_info_describes_a_model_and_the_environment(trained):
    facts = json.loads(run("info", "--model", trained[-1], "--json").stdout)
    assert facts["levels"] == [1] and facts["image_size"] == 48
    parameters = facts["parameters"]
    total = parameters.pop("total")
    assert sum(parameters.values()) == total
    assert facts["threshold"] > 0
    facts = json.loads(run("info", "--json").stdout)
    assert facts["backend"] in facts["installed_backends"]
    assert "rlr_efficientnet_lite2" in facts["presets"]
    assert "threshold" in run("info", "--model", trained[-1]).stdout


def test_a_run_is_not_overwritten(trained, data):
    before = (trained[-1] / "config.json").read_bytes()
    result = run("train", "--data", data, "--output", trained[-1], *SMALL)
    assert result.exit_code == 2
    assert "already holds a run" in result.stderr and "--resume" in result.stderr
    assert (trained[-1] / "config.json").read_bytes() == before


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
    data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = run("evaluate", "--data", data)
    assert result.exit_code == 2
    assert f"`keras-rlr train --data {data}`" in result.stderr
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
def test_what_is_no_model_is_refused(data, tmp_path, monkeypatch, model, message):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("mine")
    Path("broken.keras").write_bytes(b"PK\x03\x04")
    for arguments in (
        ("evaluate", "--data", data, "--output", "output"),
        ("predict", data, "--output", "output"),
        ("info",),
    ):
        result = run(*arguments, "--model", model)
        assert result.exit_code == 2
        assert message in result.stderr
    assert not Path("output").exists()


def test_demo_ends_with_the_table_and_the_place_of_its_pictures(tmp_path):
    output = tmp_path / "demo"
    write_procedural_dataset(
        output / "data",
        image_size=64,
        train_per_category=4,
        test_normal=2,
        test_anomalous=4,
        categories=["gear"],
    )
    result = run("demo", "--output", output, "--epochs", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("AUROC") == 2 and "AUPRO" in result.stdout
    assert str(output / "report.html") in result.stdout.splitlines()[-1]
    page = (output / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count("data:image/svg+xml;base64,") == 3
    overlays = sorted((output / "overlays").rglob("*.png"))
    assert len(overlays) == 6
    assert {path.parent.name for path in overlays} > {"good"}
    assert not set(overlays) & set(find_images(output))
    assert (output / "run" / "model.keras").exists()


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
