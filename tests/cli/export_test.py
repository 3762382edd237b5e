"""`keras-rlr export`."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from PIL import Image

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.training import train
from tests.run_command import run
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20, seed=4), false_positive_rate=0.3)
    path = tmp_path_factory.mktemp("model") / "detector.keras"
    model.save(path)
    return path


def test_writes_a_model_and_its_manifest(saved, tmp_path):
    output = tmp_path / "edge.tflite"
    options = ("--model", saved, "--format", "litert", "--output", output)
    result = run("export", *options, "--quantize", "float16")
    assert result.exit_code == 0, result.output
    assert "litert against the model, on 8 images: maps differ by" in result.stdout
    assert output.is_file()
    manifest = json.loads((tmp_path / "edge.tflite.manifest.json").read_text())
    assert manifest["quantize"] == "float16"


def test_says_nothing_but_its_own(saved, tmp_path):
    """With what the libraries write when they are imported, and both converters."""
    Image.fromarray(random_images(1, seed=5)[0]).save(tmp_path / "a.png")
    command = [sys.executable, "-m", "keras_rlr_command", "export", "--model", saved]
    command += ["--format", "litert", "--output", tmp_path / "edge.tflite"]
    # A file of 8 bits is made from one of float32.
    command += ["--data", tmp_path, "--quantize", "int8"]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "Backend: tensorflow\n"
    assert len(done.stdout.splitlines()) == 3


def test_says_nothing_else_of_float32(saved, tmp_path, capfd):
    Image.fromarray(random_images(1, seed=5)[0]).save(tmp_path / "a.png")
    words = ("--format", "litert", "--output", tmp_path / "edge.tflite")
    result = run("export", "--model", saved, *words, "--data", tmp_path)
    assert result.stderr == "Backend: tensorflow\n"
    assert len(result.stdout.splitlines()) == 3
    # Past Python.
    assert capfd.readouterr() == ("", "")


def test_a_warning_of_ours_is_shown_all_the_same(tmp_path):
    tiny_model(**ONE_LEVEL).save(tmp_path / "detector.keras")
    options = ("--model", tmp_path / "detector.keras", "--format", "litert")
    result = run("export", *options, "--output", tmp_path / "edge.tflite")
    assert result.exit_code == 0, result.output
    assert "Warning: The model has no threshold" in result.stderr


def test_json_is_one_object(saved, tmp_path):
    output = tmp_path / "serving"
    result = run("export", "--model", saved, "--output", output, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["output"] == str(output)
    assert printed["comparison"]["serve_bytes"]["passed"]
    assert (output / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--quantize", "int8"), "`quantize` is for the format 'litert'"),
        (("--format", "litert", "--quantize", "int8"), "int8 takes the range"),
        (("--format", "onnx", "--output", "m.xml"), "name for another format"),
        (("--data", "nowhere"), "There is no folder 'nowhere'"),
        (("--model", "nowhere"), "There is no model 'nowhere'"),
    ],
)
def test_refuses_with_a_sentence(options, message, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("export", "--model", saved, "--output", "out", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_brings_its_images_categories_and_figures(tmp_path):
    data = write_procedural_dataset(
        tmp_path / "data", image_size=64, train_per_category=12, test_normal=3,
        test_anomalous=2, categories=["gear", "wood"],
    )  # fmt: skip
    folder = tmp_path / "run"
    with pytest.warns(UserWarning, match="too few for a false-positive rate"):
        train(
            data, folder, epochs=1, backbone="efficientnet_lite2", levels=(1,),
            image_size=48, hidden_dims=(16,), num_blocks=1, attentions=("lca",),
            coreset_ratio=0.0, calibration_fraction=0.34,
        )  # fmt: skip
    result = run("evaluate", "--data", data, "--model", folder, "--json")
    figures = json.loads(result.stdout)
    options = ("--format", "litert", "--json", "--model", folder)
    result = run("export", *options, "--output", tmp_path / "first")
    assert result.exit_code == 0, result.output
    manifest = json.loads(result.stdout)
    assert manifest["categories"] == ["gear", "wood"]
    assert manifest["comparison"]["litert"]["images"] == 8
    assert manifest["evaluation"]["mean"] == figures["mean"]
    # A model that has changed is not the one that was evaluated.
    model = keras.saving.load_model(folder / "model.keras")
    weight = model.trainable_weights[0]
    weight.assign(1.01 * weight)
    model.save(folder / "model.keras")
    result = run("export", *options, "--output", tmp_path / "second", "--data", data)
    assert json.loads(result.stdout)["evaluation"] is None
