import json
import math
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from keras_rlr.datasets import FolderDataset, write_procedural_dataset
from keras_rlr.training import train
from keras_rlr.training.hold_out import hold_out
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=10,
        test_normal=1,
        test_anomalous=1,
        categories=["gear", "wood"],
    )


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(
        data, folder, epochs=1, backbone="efficientnet_lite2", levels=(1,),
        image_size=64, hidden_dims=(16,), num_blocks=1, calibration_fraction=0,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def decoded(data, folder):
    return run(
        "decoder", "train", "--data", data, "--model", folder, "--epochs", 2,
        "--width", 16, "--json",
    )  # fmt: skip


def test_train_measures_on_what_was_held_out(decoded, data, folder):
    assert decoded.exit_code == 0, decoded.stderr
    facts = json.loads(decoded.stdout)
    assert json.loads((folder / "decoder.json").read_text()) == facts
    model = keras.saving.load_model(folder / "model.keras")
    decoder = keras.saving.load_model(folder / "decoder.keras")
    fitted, held = hold_out(FolderDataset(data), 0.1, 0)
    (gear,) = [e["image"] for e in held if e["category"] == "gear"]
    picture = decoder.decode(model.extract_features(gear[None]))[0]

    def psnr(picture):
        return 10 * math.log10(255**2 / np.mean((picture - gear) ** 2.0))

    mean = np.mean([e["image"] for e in fitted if e["category"] == "gear"], axis=0)
    expected = {
        "images": 1,
        "psnr": psnr(picture),
        "mean_image_psnr": psnr(mean),
        "gain": psnr(picture) - psnr(mean),
    }
    assert facts["psnr"]["gear"] == pytest.approx(expected, abs=1e-3)
    assert sorted(facts["psnr"]) == ["gear", "wood"]


def test_predict_and_the_report_show_the_reconstruction(
    decoded, data, folder, tmp_path
):
    image = data / "gear" / "test" / "good"
    plain, shown = tmp_path / "plain", tmp_path / "shown"
    arguments = ("predict", image, "--model", folder, "--output")
    assert run(*arguments, plain).exit_code == 0
    assert run(*arguments, shown, "--show-reconstruction").exit_code == 0
    sizes = [Image.open(path / "overlays" / "000.png").size for path in (plain, shown)]
    assert sizes[1][0] - sizes[0][0] == 256 + 8
    assert sizes[1][1] == sizes[0][1]
    result = run("evaluate", "--data", data, "--model", folder, "--output", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert "decoded reconstruction" in (tmp_path / "report.html").read_text()


def test_a_decoder_of_another_model_is_refused_before_any_work(
    decoded, data, folder, tmp_path
):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    model = keras.saving.load_model(other / "model.keras")
    model.adapt(FolderDataset(data, categories=["wood"]))
    model.save(other / "model.keras")
    result = run("evaluate", "--data", data, "--model", other)
    assert result.exit_code == 2
    assert "trained on the features of another model" in result.stderr
    assert not (other / "evaluation").exists()
    (other / "decoder.keras").write_bytes((folder / "model.keras").read_bytes())
    result = run("evaluate", "--data", data, "--model", other)
    assert result.exit_code == 2
    assert "holds a RLR, not a decoder" in result.stderr
    assert not (other / "evaluation").exists()


def test_the_name_of_the_file_is_checked_before_training(data, folder, tmp_path):
    result = run(
        "decoder", "train", "--data", data, "--model", folder, "--output",
        tmp_path / "decoder.h5",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "ending in .keras" in " ".join(result.stderr.split())


def test_a_decoder_can_be_named(decoded, data, folder, tmp_path):
    named = tmp_path / "mine.keras"
    named.write_bytes((folder / "decoder.keras").read_bytes())
    image = data / "gear" / "test" / "good"
    result = run(
        "predict", image, "--model", folder, "--output", tmp_path / "out",
        "--decoder", named,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert Image.open(tmp_path / "out/overlays/000.png").size[0] > 800


def test_without_a_decoder_says_how_to_get_one(folder, data, tmp_path):
    model = tmp_path / "model.keras"
    model.write_bytes((folder / "model.keras").read_bytes())
    result = run("predict", data, "--model", model, "--show-reconstruction")
    assert result.exit_code == 2
    assert "Train one with `keras-rlr decoder train --model" in result.stderr
