"""12-bit images in 16-bit files, and a category that the model never saw."""

import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_rlr.datasets import find_images, read_image, write_procedural_dataset
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=6,
        test_normal=2,
        test_anomalous=2,
        categories=["gear", "wood"],
    )
    for path in find_images(folder):
        if "ground_truth" not in path.parts:
            grey = read_image(path)[..., 0].astype("uint16")
            path.unlink()
            Image.fromarray(grey * np.uint16(16)).save(path.with_suffix(".png"))
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = run(
        "train", "--data", data, "--output", folder, "--categories", "gear",
        "--backbone", "efficientnet_lite2", "--levels", 1, "--hidden-dims", 16,
        "--image-size", 48, "--epochs", 1, "--bit-depth", 12,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "uint16 images exceeds" not in result.stderr
    return folder


def test_the_run_knows_its_bit_depth(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["settings"]["bit_depth"] == config["model"]["bit_depth"] == 12
    model = keras.saving.load_model(trained / "model.keras")
    assert model.bit_depth == 12
    assert model.trained_categories == ("gear",)


def test_predict_uses_it_and_a_file_beyond_it_is_an_error_of_its_own(
    trained, data, tmp_path
):
    images = tmp_path / "images"
    images.mkdir()
    for number, path in enumerate(find_images(data / "gear" / "train")[:2]):
        Image.open(path).save(images / f"{number}.png")
    Image.fromarray(np.full((64, 64), 5000, "uint16")).save(images / "bright.png")
    arguments = ("predict", images, "--model", trained, "--output", tmp_path / "out")
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "uint16 images exceeds" not in result.stderr
    with open(tmp_path / "out" / "scores.csv", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert "with the value 5000, and 12 bits end at 4095" in rows["bright.png"]["error"]
    model = keras.saving.load_model(trained / "model.keras")
    grey = [read_image(images / f"{i}.png") * np.float32(255 / 4095) for i in range(2)]
    expected = model.predict(grey, verbose=0)["anomaly_score"]
    found = [float(rows[f"{i}.png"]["anomaly_score"]) for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    picture = np.asarray(Image.open(tmp_path / "out" / "overlays" / "0.png"))
    assert picture[:256, :256].max() > 100  # not drawn as black
    # 13 bits: twice as dark, and the bright one is no error.
    other = run(*arguments, "--bit-depth", 13, "--json")
    scores = json.loads(other.stdout)["scores"]
    assert [row["error"] for row in scores] == ["", "", ""]
    assert scores[0]["anomaly_score"] != pytest.approx(found[0], rel=1e-3)


def test_a_category_that_was_not_trained_on_is_marked(trained, data, tmp_path):
    arguments = ("evaluate", "--data", data, "--model", trained)
    arguments = (*arguments, "--output", tmp_path / "results")
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "Warning: The model was not trained on wood (1 of 2 categor" in result.stderr
    assert "wood (not trained on)" in result.stdout
    assert "mean (1 of 2 not trained on)" in result.stdout
    assert "gear (not" not in result.stdout
    page = (tmp_path / "results" / "report.html").read_text()
    assert "wood (not trained on)" in page
    found = json.loads((tmp_path / "results" / "metrics.json").read_text())
    assert found["unseen_categories"] == ["wood"]
    alone = run(*arguments, "--categories", "gear", "--json")
    assert list(json.loads(alone.stdout)) == ["categories", "mean", "pooled"]
    assert "not trained on" not in alone.stderr


def test_calibrate_stores_the_bit_depth_it_was_given(trained, data, tmp_path):
    model = tmp_path / "other.keras"
    model.write_bytes((trained / "model.keras").read_bytes())
    result = run(
        "calibrate", "--model", model, "--data", data / "gear" / "test" / "good",
        "--false-positive-rate", 0.4, "--bit-depth", 13,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert keras.saving.load_model(model).bit_depth == 13


def test_other_bit_depths_are_wrong_use():
    for command in ("predict x --model y", "evaluate --data x", "train --data x"):
        result = run(*command.split(), "--bit-depth", 8)
        assert (
            result.exit_code == 2 and "8 is not in the range 9<=x<=16" in result.stderr
        )
