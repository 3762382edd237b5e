"""A method other than RLR, by the commands alone."""

import json

import pytest

from keras_rlr.datasets import write_procedural_dataset
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=6,
        test_normal=2,
        test_anomalous=2,
        categories=["gear", "wood"],
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "patchcore"
    result = run(
        "train", "--data", data, "--output", folder, "--method", "patchcore",
        "--backbone", "efficientnet_lite2", "--levels", 2, "--image-size", "64x96",
        "--tiles", "1x2", "--overlap", 0.25, "--roi", "0.1,0,0.9,1",
        "--set", "coreset_ratio=0.5", "--set", 'augmentation=["flip"]',
        "--calibration-fraction", 0.3,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return folder, result


def test_train_says_the_size_of_the_bank(trained):
    folder, result = trained
    # Half of 8 images, mirrored two ways, of two tiles of 8 x 12 patches.
    assert (
        "The model holds a memory bank of 2304 patches of 48 channels" in result.stdout
    )
    assert "for 1 epoch;" in result.stdout
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["method"] == "patchcore"
    assert config["model"]["bank_size"] == 2304
    assert "learning_rate" not in config["training"]
    assert config["settings"]["image_size"] == [64, 96]
    assert config["settings"]["tiles"] == [1, 2]
    assert not (folder / "feature_cache").exists()


def test_the_other_commands_take_it(trained, data, tmp_path):
    folder, _ = trained
    result = run("evaluate", "--data", data, "--model", folder, "--json")
    assert result.exit_code == 0, result.stderr
    assert 0 <= json.loads(result.stdout)["mean"]["image_auroc"] <= 1
    written = json.loads((folder / "evaluation/metrics.json").read_text())
    # Models that look at tiles are measured at the images' own sizes.
    assert written["protocol"]["map_size"] == "original"
    assert written["model"]["method"] == "PatchCore"
    report = (folder / "evaluation/report.html").read_text()
    assert "image, true mask, anomaly map." in report
    result = run("predict", data, "--model", folder, "--show-reconstruction")
    assert result.exit_code == 2
    assert "PatchCore reconstructs no features" in " ".join(result.stderr.split())
    images = data / "gear" / "test"
    result = run("predict", images, "--model", folder, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert len((tmp_path / "out/scores.csv").read_text().splitlines()) == 1 + 4
    more = data / "wood" / "test" / "good"
    result = run(
        "calibrate", "--model", folder, "--data", more, "--false-positive-rate", 0.5
    )
    assert result.exit_code == 0, result.stderr
    facts = json.loads(run("info", "--model", folder, "--json").stdout)
    assert facts["parameters"]["memory_bank"] == 2304 * 48


def test_a_finished_run_is_resumed_without_a_word_of_its_bank(trained, data):
    folder, _ = trained
    result = run("train", "--data", data, "--output", folder, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "memory bank of 2304 patches" in result.stdout


def test_tiles_that_are_aligned(data, tmp_path):
    result = run(
        "train", "--data", data, "--output", tmp_path / "run", "--method", "padim",
        "--backbone", "efficientnet_lite2", "--levels", 1, "--image-size", 32,
        "--tiles", "2x2", "--tiles-aligned", "--set", "num_channels=3",
        "--calibration-fraction", 0,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    # Four tiles of 8 x 8 places.
    assert "Gaussians of 256 places and 3 channels" in result.stdout
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["model"]["tiles_aligned"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "patch"), "Did you mean 'patchcore'"),
        (("--method", "padim", "--hidden-dims", 8), "PaDiM has no 'hidden_dims'"),
        (("--method", "patchcore", "--epochs", 3), "looks at each image once"),
        (("--method", "patchcore", "--learning-rate", 1), "takes no steps"),
        (
            ("--method", "patchcore", "--tiles", "1x2", "--tiles-aligned"),
            "has one normal for tiles of all places",
        ),
        (("--set", "coreset_ratio"), "is not NAME=VALUE"),
        (
            ("--set", "noise_scale=2", "--noise-scale", 1),
            "by --noise-scale and by --set",
        ),
        (("--set", "noize_scale=2"), "RLR has no 'noize_scale'"),
        (("--set", "resume=true"), "'resume' is not set by it: there is --resume"),
        (("--set", "callbacks=1"), "they are objects of Python"),
        (("--set", "bank_size=7"), "by coreset_ratio and max_patches"),
        (("--method", "padim", "--set", "fitted=true"), "training sets it"),
        (
            ("--method", "padim", "--set", "num_channels=2.5"),
            "`num_channels` of PaDiM takes a whole number, by default 100.",
        ),
        (
            ("--set", "region_of_interest=[0,0,1,0.5]", "--roi", "0,0,0.5,1"),
            "Where to look is given by an option and by --set",
        ),
    ],
)
def test_wrong_use(data, tmp_path, options, message):
    output = tmp_path / "run"
    result = run(
        "train", "--data", data, "--output", output, "--backbone",
        "efficientnet_lite2", *options,
    )  # fmt: skip
    assert result.exit_code == 2, result.stdout
    assert message in " ".join(result.stderr.split())
    assert not output.exists()


def test_anomalies_may_come_from_a_folder(data, tmp_path):
    folder = tmp_path / "draem"
    arguments = (
        "train", "--data", data, "--output", folder, "--method", "draem",
        "--preset", "draem_small", "--image-size", 32, "--categories", "gear",
        "--set", "reconstruction_width=2", "--set", "segmentation_width=2",
    )  # fmt: skip
    textures = data / "wood" / "train" / "good"
    result = run(*arguments, "--epochs", 1, "--anomaly-source", textures)
    assert result.exit_code == 0, result.stderr
    assert f"The anomalies it learned from: {textures}." in result.stdout
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["anomaly_source"] == str(textures)
    result = run("train", "--data", data, "--output", folder, "--resume", "--epochs", 2)
    assert result.exit_code == 0, result.stderr
    # It has no backbone to name, and after two epochs scores that are nearly alike.
    result = run("evaluate", "--data", data, "--model", folder)
    assert result.exit_code == 0, result.stderr
    assert ",DRAEM,,," in (folder / "evaluation/metrics.csv").read_text()
    assert (folder / "evaluation/report.html").is_file()
    result = run(*arguments[:3], "--output", tmp_path / "a", "--anomaly-source", data)
    assert result.exit_code == 2
    assert "RLR makes no anomalies in training" in " ".join(result.stderr.split())
