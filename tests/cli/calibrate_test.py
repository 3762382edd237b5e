import json
import os
import shutil

import keras
import numpy as np
import pytest

from keras_rlr.datasets import FolderDataset, read_image, write_procedural_dataset
from keras_rlr.training import train
from keras_rlr.training.hold_out import hold_out
from tests.datasets.layouts.write_files import write_visa
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=12,
        test_normal=6,
        test_anomalous=2,
        categories=["gear", "wood"],
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.warns(UserWarning, match="too few for a false-positive rate"):
        train(
            data, folder, epochs=1, backbone="efficientnet_lite2", levels=(1,),
            image_size=48, hidden_dims=(16,), num_blocks=1, calibration_fraction=0.34,
        )  # fmt: skip
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def conformal(scores, rate):
    rank = int(np.ceil(round((len(scores) + 1) * (1 - rate), 9)))
    return 1.0001 * float(np.sort(scores)[rank - 1])


def test_from_any_folder_of_normal_images(folder, data, tmp_path):
    images = tmp_path / "normal"
    shutil.copytree(data / "gear" / "test" / "good", images / "a")
    shutil.copytree(data / "wood" / "test" / "good", images / "b")
    result = run(
        "calibrate", "--model", folder, "--data", images, "--false-positive-rate", 0.25,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    model = keras.saving.load_model(folder / "model.keras")
    files = sorted(images.rglob("*.png"))
    found = model.predict([read_image(f) for f in files], verbose=0)
    scores, peaks = found["anomaly_score"], found["anomaly_map"].max(axis=(1, 2))
    assert facts["images"] == len(files) == 12
    assert facts["pixel_threshold"] == pytest.approx(conformal(peaks, 0.25), rel=1e-5)
    assert model.pixel_threshold == facts["pixel_threshold"]
    assert facts["category_pixel_thresholds"] == dict(
        model.thresholds.pixels.by_category
    )
    assert facts["threshold"] == pytest.approx(conformal(scores, 0.25), rel=1e-5)
    assert model.threshold == facts["threshold"]
    # Images without categories: the model recognises them.
    assert facts["category_thresholds"] == pytest.approx(model.thresholds.by_category)
    config = json.loads((folder / "config.json").read_text())
    assert config["calibration"] == facts
    assert config["training"]["epochs"] == 1


def test_from_the_data_set_it_was_trained_on_only_what_was_held_out(folder, data):
    result = run(
        "calibrate", "--model", folder, "--data", data, "--false-positive-rate", 0.2
    )
    assert result.exit_code == 0, result.stderr
    held = hold_out(FolderDataset(data), 0.34, 0)[1]
    assert f"from {len(held)} normal images" in result.stdout
    model = keras.saving.load_model(folder / "model.keras")
    scores = model.predict(held, verbose=0)["anomaly_score"]
    assert model.threshold == pytest.approx(conformal(scores, 0.2), rel=1e-5)
    assert sorted(model.thresholds.by_category) == ["gear", "wood"]
    assert "gear: " in result.stdout
    assert f"Pixel threshold {model.pixel_threshold:.4g}: a map has" in result.stdout
    pixels = dict(model.thresholds.pixels.by_category)
    assert sorted(pixels) == ["gear", "wood"]
    assert f"gear: {pixels['gear']:.4g}" in result.stdout


def test_images_that_were_all_trained_on_are_refused(folder, data):
    record = folder / "images.csv"
    record.write_text(record.read_text().replace("calibration,", "training,"))
    before = (folder / "model.keras").read_bytes()
    result = run("calibrate", "--model", folder, "--data", data)
    assert result.exit_code == 2
    assert "was trained on all normal images" in result.stderr
    assert (folder / "model.keras").read_bytes() == before


def test_too_few_images_are_refused_with_their_number(folder, data):
    result = run(
        "calibrate", "--model", folder, "--data", data / "gear" / "test" / "good",
        "--false-positive-rate", 0.01,
    )  # fmt: skip
    assert result.exit_code == 2
    assert (
        "needs at least 99 normal images to calibrate on. Received 6" in result.stderr
    )


@pytest.mark.parametrize(
    ("place", "message"),
    [("missing", "There is no folder"), (".", "There are no images in")],
)
def test_no_images(folder, tmp_path, monkeypatch, place, message):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    result = run("calibrate", "--model", folder, "--data", place)
    assert result.exit_code == 2
    assert message in result.stderr


def forget_times(folder):
    """Gives every file another time of change, as a copy by other tools has it."""
    for file in folder.rglob("*.png"):
        os.utime(file, (1e9, 1e9))


def held_images(data):
    return hold_out(FolderDataset(data), 0.34, 0)[1].samples


def test_of_data_that_was_moved_and_has_grown_no_image_that_was_trained_on(
    folder, data, tmp_path
):
    moved = shutil.copytree(data, tmp_path / "moved")
    forget_times(moved)
    # Names that come before the others, so that another split would be drawn.
    for i in range(3):
        shutil.copy(
            data / "gear/test/good" / f"00{i}.png", moved / f"gear/train/good/_{i}.png"
        )
    config = json.loads((folder / "config.json").read_text())
    config["data"]["path"] = str(tmp_path / "gone")
    (folder / "config.json").write_text(json.dumps(config))
    result = run(
        "calibrate", "--model", folder, "--data", moved, "--false-positive-rate", 0.2
    )
    assert result.exit_code == 0, result.stderr
    held = held_images(data)
    new = sorted((moved / "gear/train/good").glob("_*.png"))
    files = [*new, *(sample.image for sample in held)]
    assert f"from {len(files)} normal images" in result.stdout
    assert f"{24 - len(held)} others were left out: the model was trained" in " ".join(
        result.stdout.split()
    )
    model = keras.saving.load_model(folder / "model.keras")
    scores = model.predict([read_image(f) for f in files], verbose=0)["anomaly_score"]
    assert model.threshold == pytest.approx(conformal(scores, 0.2), rel=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_of_a_run_of_an_earlier_version(folder, data, known):
    (folder / "images.csv").unlink()
    if not known:
        config = json.loads((folder / "config.json").read_text())
        config["data"]["training_fingerprint"] = "of other images"
        (folder / "config.json").write_text(json.dumps(config))
    result = run(
        "calibrate", "--model", folder, "--data", data, "--false-positive-rate", 0.3,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    held = len(held_images(data))
    assert facts["images"] == (held if known else 24)
    assert facts["trained_on"] == (24 - held if known else None)
    assert ("It is not known which images" in result.stderr) != known


def test_a_damaged_record_of_the_images_is_refused(folder, data):
    (folder / "images.csv").write_text("a,b\n1,2\n")
    result = run("calibrate", "--model", folder, "--data", data)
    assert result.exit_code == 2
    assert "is not the record of a run's images" in result.stderr


@pytest.mark.parametrize("place", ["../data", "data/gear/train/good", "copy"])
def test_images_it_was_trained_on_are_left_out_wherever_they_lie(
    folder, data, tmp_path, monkeypatch, place
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(data, tmp_path / "elsewhere" / "copy")
    monkeypatch.chdir(data.parent if place.startswith("data") else elsewhere)
    if place == "../data":
        (tmp_path / "data").symlink_to(data)
    result = run(
        "calibrate", "--model", folder, "--data", place, "--false-positive-rate", 0.3,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    held = hold_out(FolderDataset(data), 0.34, 0)[1]
    wanted = [s for s in held.samples if "good" not in place or s.category == "gear"]
    assert json.loads(result.stdout)["images"] == len(wanted)


def test_folders_that_are_called_like_products_name_them(folder, data, tmp_path):
    images, expected = tmp_path / "normal", {}
    model = keras.saving.load_model(folder / "model.keras")
    for name in ("gear", "wood"):
        place = shutil.copytree(data / name / "test" / "good", images / name)
        files = [read_image(file) for file in sorted(place.glob("*.png"))]
        scores = model.predict(files, verbose=0)["anomaly_score"]
        expected[name] = conformal(scores, 0.25)
    result = run(
        "calibrate", "--model", folder, "--data", images, "--false-positive-rate", 0.25,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["category_thresholds"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_resuming_a_finished_run_keeps_what_calibrate_set(folder, data):
    """It would have replaced threshold and region by those of training, in silence."""
    result = run(
        "calibrate", "--model", folder, "--data", data, "--roi", "0,0,0.5,1",
        "--false-positive-rate", 0.3,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["region_of_interest"]
    before = {file.name: file.read_bytes() for file in folder.glob("*.*")}
    resume = ("train", "--data", data, "--output", folder, "--resume")
    result = run(*resume)
    assert result.exit_code == 0, result.stderr
    assert {file.name: file.read_bytes() for file in folder.glob("*.*")} == before
    # Trained on, it needs others, and says so.
    result = run(*resume, "--epochs", 2)
    assert result.exit_code == 0, result.stderr
    assert "`keras-rlr calibrate` after it" in " ".join(result.stderr.split())
    model = keras.saving.load_model(folder / "model.keras")
    assert model.region_of_interest is None


def test_a_checkpoint_can_still_be_resumed(folder, data):
    checkpoint = folder / "checkpoint.keras"
    before = keras.saving.load_model(checkpoint)
    result = run(
        "calibrate", "--model", checkpoint, "--data", data,
        "--false-positive-rate", 0.3,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    after = keras.saving.load_model(checkpoint)
    assert after.threshold is not None
    assert int(after.optimizer.iterations) == int(before.optimizer.iterations) > 0


def test_a_damaged_data_set_is_not_taken_for_a_folder_of_normal_images(
    folder, tmp_path
):
    write_visa(tmp_path / "visa", train=20)
    (tmp_path / "visa/split_csv/1cls.csv").unlink()
    result = run("calibrate", "--model", folder, "--data", tmp_path / "visa")
    assert result.exit_code == 2
    assert "no table of the splits" in result.stderr
    result = run("calibrate", "--model", folder, "--data", tmp_path / "visa/pcb1/Data")
    assert result.exit_code == 2
    assert "is not a folder of normal images alone" in result.stderr


def test_what_is_left_out_of_a_folder_of_images_is_named(folder, data, tmp_path):
    images = shutil.copytree(data / "gear" / "test" / "good", tmp_path / "normal")
    (images / "raw.dng").write_bytes(b"raw")
    result = run(
        "calibrate", "--model", folder, "--data", images, "--false-positive-rate", 0.2
    )
    assert result.exit_code == 0, result.stderr
    assert "1 file of unknown kind (.dng: raw.dng)" in result.stderr


def test_a_product_without_images_is_named(folder, data):
    """It is told from its image alone, so it was called anomalous in silence."""
    gear = data / "gear" / "test" / "good"
    result = run(
        "calibrate", "--model", folder, "--data", gear, "--false-positive-rate", 0.2
    )
    assert result.exit_code == 0, result.stderr
    told = " ".join(result.stderr.split())
    assert "recognises gear, but was trained on wood too" in told
    model = keras.saving.load_model(folder / "model.keras")
    wood = [read_image(f) for f in sorted((data / "wood/test/good").glob("*.png"))]
    assert model.predict(wood, verbose=0)["is_anomalous"].all()


@pytest.mark.parametrize("named", [True, False], ids=["data set", "any folder"])
def test_products_that_training_recognizes_are_recognized_afterwards(
    folder, data, tmp_path, named
):
    before = keras.saving.load_model(folder / "model.keras").thresholds.known
    place = data
    if not named:
        place = tmp_path / "normal"
        place.mkdir()
        for sample in held_images(data):
            shutil.copy(sample.image, place / f"{sample.category}{sample.image.name}")
    result = run(
        "calibrate", "--model", folder, "--data", place, "--false-positive-rate", 0.2
    )
    assert result.exit_code == 0, result.stderr
    assert "too few normal images" not in " ".join(result.stderr.split())
    model = keras.saving.load_model(folder / "model.keras")
    known = model.thresholds.known.statistics
    assert model.known_categories == before.names == ("gear", "wood")
    for name in ("means", "spreads", "discounts", "score_means"):
        found, expected = getattr(known, name), getattr(before.statistics, name)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    test = FolderDataset(data, "test")
    normal = [sample for sample in test.samples if not sample.label]
    found = model.predict([read_image(s.image) for s in normal], verbose=0)
    names = np.array([*model.known_categories, None])[found["category"]]
    assert names.tolist() == [sample.category for sample in normal]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("test", "beside normal images, as a test split has its defects"),
        ("ground_truth", "by its name 'ground_truth' has masks"),
        ("ground_truth/*", "has the masks of a data set"),
        ("test/[!g]*", "is a kind of defect by its place"),
    ],
)
def test_defects_and_masks_are_not_taken_for_normal_images(
    folder, data, place, message
):
    images = next((data / "gear").glob(place))
    before = (folder / "model.keras").read_bytes()
    result = run(
        "calibrate", "--model", folder, "--data", images, "--false-positive-rate", 0.4
    )
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert "is not a folder of normal images alone" in told
    assert message in told
    assert (folder / "model.keras").read_bytes() == before
