import csv
import hashlib
import json
import os
import shutil
import signal
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_rlr.datasets import FolderDataset, write_procedural_dataset
from keras_rlr.training import TrainingInterrupted, train
from tests.tiny_model import SMALL_RUN


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=7,
        test_normal=1,
        test_anomalous=2,
        categories=["gear", "wood"],
    )


def losses(run):
    return [row["loss"] for row in run["history"]]


class SignalAt(keras.callbacks.Callback):
    """Sends this process a signal in a step."""

    def __init__(self, number, epoch, batch):
        super().__init__()
        self.number, self.epoch, self.batch = number, epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.current = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.current, batch) == (self.epoch, self.batch):
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """An uninterrupted run of three epochs, and its folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.warns(UserWarning, match="2 images were held out for calibration, too"):
        return train(data, folder, epochs=3, **SMALL_RUN), folder


@pytest.mark.backend_independent
def test_of_one_image_none_is_held_out_and_that_is_said(data, tmp_path):
    (one, *_) = sorted(Path(data).glob("*/train/good/*"))
    folder = tmp_path / "data" / "gear" / "train" / "good"
    folder.mkdir(parents=True)
    shutil.copy(one, folder)
    settings = {**SMALL_RUN, "method": "patchcore"}
    for name in ("hidden_dims", "num_blocks"):
        del settings[name]
    with pytest.warns(UserWarning, match="No image was held out for calibration"):
        found = train(tmp_path / "data", tmp_path / "run", **settings)
    assert found["config"]["calibration"] is None
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        settings["calibration_fraction"] = 0
        train(tmp_path / "data", tmp_path / "other", **settings)


@pytest.mark.backend_independent
def test_the_folder_has_what_was_promised(run):
    run, folder = run
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "checkpoint.keras",
        "config.json",
        "environment.json",
        "history.csv",
        "images.csv",
        "model.keras",
    }
    lines = (folder / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,seconds"
    assert [float(line.split(",")[1]) for line in lines[1:]] == losses(run)
    config = json.loads((folder / "config.json").read_text())
    assert config == run["config"]
    assert config["data"]["categories"] == ["gear", "wood"]
    assert config["data"]["training_images"] == 12
    assert config["model"]["standardize_features"] is True
    assert config["training"] == {
        "recipe": "default",
        "epochs": 3,
        "steps": 9,
        "batch_size": 4,
        "learning_rate": run["model"].recipe.learning_rate,
        "beta_2": 0.95,
        "feature_cache": "float16",
    }
    assert config["calibration"] == {
        "images": 2,
        "false_positive_rate": pytest.approx(1 / 3),
        "asked_false_positive_rate": 0.01,
        "threshold": run["model"].threshold,
        "category_thresholds": {},
        "pixel_threshold": run["model"].pixel_threshold,
        "category_pixel_thresholds": {},
    }
    assert run["model"].pixel_threshold > 0
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["backend"] == keras.backend.backend()
    assert environment["packages"]["keras"] == keras.__version__


@pytest.mark.backend_independent
def test_the_saved_model_is_the_trained_one_without_its_optimizer(run, data):
    run, folder = run
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = keras.saving.load_model(folder / "model.keras")
    images = [FolderDataset(data, "test")[i]["image"] for i in range(3)]
    expected = run["model"].predict(images, verbose=0)
    actual = loaded.predict(images, verbose=0)
    assert set(actual) == {"anomaly_map", "anomaly_score", "is_anomalous"}
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value)
    # Two moments a trainable weight are what a checkpoint has more.
    trainable = sum(int(np.prod(w.shape)) for w in loaded.trainable_weights)
    sizes = [
        (folder / f"{name}.keras").stat().st_size for name in ("checkpoint", "model")
    ]
    assert sizes[0] - sizes[1] >= 8 * trainable
    assert run["model"].compiled and int(run["model"].optimizer.iterations) == 9


@pytest.mark.backend_independent
def test_interrupted_and_resumed_it_has_the_losses_of_one_run(run, data, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(TrainingInterrupted) as caught:
        train(
            data,
            folder,
            epochs=3,
            callbacks=[SignalAt(signal.SIGTERM, 1, 1)],
            **SMALL_RUN,
        )
    assert caught.value.signal_number == signal.SIGTERM
    assert not (folder / "model.keras").exists()
    assert len((folder / "history.csv").read_text().splitlines()) == 2
    with pytest.warns(UserWarning, match="held out"):
        resumed = train(data, folder, resume=True)
    np.testing.assert_allclose(losses(resumed), losses(run[0]), rtol=1e-6)
    assert [row["epoch"] for row in resumed["history"]] == [1, 2, 3]
    np.testing.assert_allclose(
        resumed["model"].threshold, run[0]["model"].threshold, rtol=1e-5
    )


@pytest.mark.backend_independent
def test_the_folder_names_its_images_by_content(run, data):
    _, folder = run
    with (folder / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["use"] for row in rows] == ["training"] * 12 + ["calibration"] * 2
    files = sorted(data.glob("*/train/good/*.png"))
    assert sorted(row["path"] for row in rows) == [
        file.relative_to(data).as_posix() for file in files
    ]
    for row in rows:
        content = (data / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.backend_independent
def test_a_training_that_diverges_ends_with_a_sentence_and_no_model(data, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(FloatingPointError, match="diverged: the loss is nan after"):
        train(
            data,
            folder,
            epochs=30,
            learning_rate=1e30,
            calibration_fraction=0,
            **SMALL_RUN,
        )
    assert not (folder / "model.keras").exists()


@pytest.mark.backend_independent
def test_a_finished_run_does_not_train_again(run, data):
    run, folder = run
    with pytest.warns(UserWarning, match="held out"):
        again = train(data, folder, resume=True)
    assert losses(again) == losses(run)
    assert again["model"].threshold == run["model"].threshold


@pytest.mark.backend_independent
def test_other_images_are_refused_when_resuming(run, data):
    _, folder = run
    before = (folder / "config.json").read_bytes()
    image = data / "gear" / "train" / "good" / "000.png"
    content, status = image.read_bytes(), image.stat()
    image.write_bytes(content[:-1] + b"x")
    try:
        with pytest.raises(ValueError, match="are not those that the run in"):
            train(data, folder, resume=True)
    finally:
        image.write_bytes(content)
        os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (folder / "config.json").read_bytes() == before


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"backbone": "resnet_9000"}, ValueError, "resnet_9000"),
        ({"preset": "rlr"}, ValueError, "Unknown preset 'rlr'"),
        ({"categories": ["screw"]}, ValueError, "has no category 'screw'"),
        ({"image_size": 40}, ValueError, "window"),
        ({"recipe": "quick"}, ValueError, "Unknown recipe 'quick'"),
    ],
)
def test_what_can_be_foreseen_is_refused_before_anything_is_written(
    data, tmp_path, settings, error, message
):
    with pytest.raises(error, match=message):
        train(data, tmp_path / "run", **{**SMALL_RUN, **settings})
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
def test_a_damaged_image_leaves_no_run_behind(tmp_path):
    data = write_procedural_dataset(
        tmp_path / "data", image_size=64, train_per_category=4, categories=["gear"]
    )
    images = sorted((data / "gear" / "train" / "good").iterdir())
    images[1].write_bytes(images[1].read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"001\.png' can't be read"):
        train(data, tmp_path / "run", calibration_fraction=0, epochs=1, **SMALL_RUN)
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
def test_settings_reach_the_model(data, tmp_path):
    settings = {
        **SMALL_RUN,
        "standardize_features": False,
        "noise_scale": 0.5,
        "learning_rate": 0.003,
        "seed": 7,
        "categories": ["wood"],
        "recipe": "paper",
    }
    run = train(data, tmp_path / "run", epochs=1, calibration_fraction=0, **settings)
    model = run["model"]
    assert (model.levels, model.hidden_dims, model.seed) == ((1,), (16,), 7)
    assert (model.noise_scale, model.standardize_features) == (0.5, False)
    # Damping is for standardised features.
    assert model.cosine_damping == 0
    assert model.threshold is None
    assert float(model.optimizer.learning_rate) == pytest.approx(0.003)
    assert run["config"]["training"]["learning_rate"] == 0.003
    assert run["config"]["training"]["recipe"] == "paper"
    assert run["config"]["data"]["training_images"] == 7
    assert run["config"]["calibration"] is None
