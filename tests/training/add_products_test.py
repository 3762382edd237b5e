"""Products are added to a run: what is learned, kept, printed and refused."""

import csv
import hashlib
import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest

from keras_rlr.datasets import read_image
from keras_rlr.detectors.loading import load_model
from keras_rlr.training import TrainingInterrupted, changed_run, extend_run, train
from keras_rlr.training.add_products import add_products
from keras_rlr.training.images_record import read_run_images
from keras_rlr.training.remove_product import remove_product
from tests.run_command import run

pytestmark = [
    pytest.mark.backend_independent,
    pytest.mark.filterwarnings("ignore:.*too few for a false-positive rate"),
]

SMALL = {"backbone": "efficientnet_lite2", "image_size": 48, "seed": 0}
OLD = ["gear", "wood"]


def contents(folder):
    """The digest of every file below a folder."""
    return {
        file.relative_to(folder): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def bank_of(model):
    return keras.ops.convert_to_numpy(model.memory_bank.patches)


def test_a_bank_grows_and_all_else_follows(grown_bank_run, product_runs, products):
    folder, facts = grown_bank_run
    before = load_model(product_runs / "patchcore/model.keras")
    after = load_model(folder / "model.keras")
    old, now = bank_of(before), bank_of(after)
    np.testing.assert_array_equal(now[: len(old)], old)
    # A tenth of the patches of 6 images of 6 x 6.
    assert len(now) - len(old) == 22
    assert facts["stored"]["after"].startswith(f"a memory bank of {len(now)} patches")
    for layer, other in zip(
        before.standardizations, after.standardizations, strict=True
    ):
        np.testing.assert_array_equal(layer.mean, other.mean)
    names = ("fabric", *OLD)
    assert after.trained_categories == after.known_categories == names
    assert sorted(after.thresholds.calibration_scores.categories) == list(names)
    assert facts["calibration"]["images"] == 12
    assert after.threshold == facts["calibration"]["threshold"]
    # Held-out images of before are held out, and those of the new product too.
    was, record = (
        read_run_images(place / "images.csv")
        for place in (product_runs / "patchcore", folder)
    )
    assert {use: len(hashes) for use, hashes in record.items()} == {
        "training": 18,
        "calibration": 12,
    }
    assert all(was[use] < record[use] for use in was)
    config = json.loads((folder / "config.json").read_text())
    assert config["data"]["categories"] == list(names)
    assert [part["categories"] for part in config["data"]["parts"]] == [OLD, ["fabric"]]
    assert config["model"]["bank_size"] == len(now)
    assert not (folder / "checkpoint.keras").exists()
    # The run as it was is a run.
    np.testing.assert_array_equal(
        bank_of(load_model(folder / "before/model.keras")), old
    )
    assert json.loads((folder / "before/config.json").read_text()) == json.loads(
        (product_runs / "patchcore/config.json").read_text()
    )


def test_figures_before_and_after_are_those_of_evaluate(grown_bank_run, products):
    folder, facts = grown_bank_run
    assert sorted(facts["categories"]) == ["fabric", *OLD]
    assert facts["categories"]["fabric"]["before"] is None
    for when, place in (("before", folder / "before"), ("after", folder)):
        result = run("evaluate", "--data", products / "old", "--model", place, "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)["categories"]
        for name in OLD:
            # Other batches round otherwise.
            assert facts["categories"][name][when] == pytest.approx(
                found[name], abs=1e-4
            )
    assert 0 <= facts["mean_of_old"]["after"]["image_auroc"] <= 1


def test_other_commands_know_the_new_product(grown_bank_run, products, tmp_path):
    folder = shutil.copytree(grown_bank_run[0], tmp_path / "run")
    result = run(
        "predict", products / "new/fabric/train", "--model", folder, "--output",
        tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    rows = (tmp_path / "out/scores.csv").read_text().splitlines()[1:]
    assert all("fabric" in row for row in rows)
    result = run(
        "calibrate", "--model", folder, "--data", products / "new",
        "--false-positive-rate", 0.2,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "from 4 normal images" in result.stdout
    assert "6 others were left out" in result.stdout
    result = run("train", "--data", products / "old", "--output", folder, "--resume")
    assert result.exit_code == 2
    assert "so its training can't go on" in " ".join(result.stderr.split())


def test_the_rate_that_was_asked_for_outlives_every_change(
    bank_run, products, tmp_path
):
    """From the second change on it was that of a training."""
    result = run(
        "calibrate", "--model", bank_run, "--data", products / "old/gear/test/good",
        "--false-positive-rate", 0.3,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    result = run("train", "--remove", "wood", "--model", bank_run)
    assert result.exit_code == 0, result.stderr
    assert "were set by `keras-rlr calibrate`" in " ".join(result.stderr.split())
    calibrations = [json.loads((bank_run / "config.json").read_text())["calibration"]]
    assert "trained_on" not in calibrations[0]
    for name in ("new", "wood"):
        place = products / ("new" if name == "new" else "old")
        categories = None if name == "new" else [name]
        add_products(bank_run, place, categories=categories)
        config = json.loads((bank_run / "config.json").read_text())
        calibrations.append(config["calibration"])
    assert [c["asked_false_positive_rate"] for c in calibrations] == [0.3] * 3
    assert [c["false_positive_rate"] for c in calibrations] == [0.3] * 3


class SignalAt(keras.callbacks.Callback):
    """Sends this process a signal in a step."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def test_of_steps_old_and_new_products_together(product_runs, products, tmp_path):
    folder = shutil.copytree(product_runs / "rlr", tmp_path / "run")
    before = contents(folder)
    with pytest.raises(TrainingInterrupted):
        add_products(folder, products / "new", callbacks=[SignalAt()])
    assert contents(folder) == before
    # Half of the one epoch that the run was given.
    result = add_products(folder, products / "new")
    old, new = (
        load_model(place / "model.keras") for place in (folder / "before", folder)
    )
    change = result["config"]["changes"][0]
    assert change["added"] == ["fabric"]
    assert len(change["losses"]) == 1
    assert np.isfinite(change["losses"]).all()
    for layer, other in zip(old.standardizations, new.standardizations, strict=True):
        np.testing.assert_array_equal(layer.mean, other.mean)
    stored = [int(np.sum(keras.ops.convert_to_numpy(m.usual_map.is_stored)))
              for m in (old, new)]  # fmt: skip
    assert stored == [12, 18]
    assert new.bank_size > old.bank_size
    assert new.known_categories == ("fabric", *OLD)
    weights = [m.trainable_weights[0] for m in (old, new)]
    moved = np.abs(np.subtract(*map(keras.ops.convert_to_numpy, weights)))
    assert 0 < moved.max() < 0.1

    # New products are looked at whole.
    assert sorted(new.region_of_interest) == OLD
    removed = remove_product(folder, "gear")
    after = load_model(folder / "model.keras")
    assert list(after.region_of_interest) == ["wood"]
    assert "its mask of where to look" in removed["done"]
    assert len(removed["stays"]) == 1
    assert "what the weights learned of it" in removed["stays"][0]
    assert int(np.sum(keras.ops.convert_to_numpy(after.usual_map.is_stored))) == 12
    assert after.bank_size < new.bank_size
    assert after.known_categories == ("fabric", "wood")


def test_gaussians_are_taken_anew_from_all_images(products, tmp_path):
    before = train(
        products / "old", tmp_path / "run", method="padim", num_channels=4, levels=(2,),
        calibration_fraction=0.4, **SMALL,
    )["model"]  # fmt: skip
    added = add_products(tmp_path / "run", products / "new", tmp_path / "added")
    assert added["kept"] is None
    after = added["model"]
    with (tmp_path / "added/images.csv").open(newline="") as file:
        new = [
            read_image(products / "new" / row["path"])
            for row in csv.DictReader(file)
            if (row["use"], row["category"]) == ("training", "fabric")
        ]
    tokens = keras.ops.convert_to_numpy(after.tokens_of(after.extract_features(new)))
    # Of 12 old images and 6 new ones.
    old, found = (keras.ops.convert_to_numpy(m.gaussians.mean) for m in (before, after))
    own = tokens.reshape(6, -1, 4).mean(axis=0)
    np.testing.assert_allclose(found, (12 * old + 6 * own) / 18, atol=1e-4)
    assert load_model(tmp_path / "run/model.keras").trained_categories == tuple(OLD)
    assert after.known_categories == ("fabric", *OLD)


@pytest.mark.parametrize("place", ["figures_of", "save_without_optimizer"])
def test_what_fails_before_the_end_leaves_the_run_as_it_was(
    bank_run, products, monkeypatch, place
):
    def fail(*arguments, **options):
        raise OSError("No space left on device")

    where = changed_run if place == "save_without_optimizer" else extend_run
    monkeypatch.setattr(where, place, fail)
    before = contents(bank_run)
    with pytest.raises(OSError, match="No space"):
        add_products(bank_run, products / "new")
    after = contents(bank_run)
    assert {file: after[file] for file in before} == before
    assert load_model(bank_run / "model.keras").trained_categories == tuple(OLD)
    monkeypatch.undo()
    # And the work can be done again.
    assert add_products(bank_run, products / "new")["added"] == ["fabric"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--add", "OLD"), "knows gear, wood already"),
        (("--add", "COPY"), "10 of 10 images in"),
        (("--add", "NOWHERE"), "There is no folder"),
        (("--add", "NEW", "--epochs", 3), "looks at each image once"),
        (("--add", "NEW", "--categories", "x"), "has no category 'x'"),
        (("--add", "NEW", "--output", "RUN/../other"), "already holds a run"),
        (
            ("--add", "NEW", "--method", "rlr", "--image-size", 64, "--roi", "0,0,1,1"),
            "--method, --image-size, --roi can't be given with --add",
        ),
        (("--add", "NEW", "--resume"), "--resume can't be given with --add"),
        (("--add", "NEW", "--remove", "wood"), "give one of the three"),
        ((), "give one of the three"),
        (("--remove", "cup"), "knows no product 'cup'. Choose one of gear, wood"),
        (("--remove", "wood", "--epochs", 2), "--epochs can't be given with --remove"),
    ],
)
def test_refusals(bank_run, products, tmp_path, words, message):
    places = {
        "OLD": products / "old", "NEW": products / "new", "COPY": tmp_path / "copy",
        "NOWHERE": tmp_path / "nowhere", "RUN/../other": tmp_path / "other",
    }  # fmt: skip
    if "COPY" in words:
        shutil.copytree(products / "old/gear", tmp_path / "copy/cup")
    if "RUN/../other" in words:
        shutil.copytree(bank_run, tmp_path / "other")
    before = contents(bank_run)
    words = [places.get(word, word) for word in words]
    result = run("train", "--model", bank_run, *words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert contents(bank_run) == before


def test_without_a_model_or_a_run(products, tmp_path):
    result = run("train", "--add", products / "new")
    assert result.exit_code == 2
    assert "--add needs --model" in result.stderr
    result = run("train", "--add", products / "new", "--model", tmp_path)
    assert result.exit_code == 2
    assert "There is no finished run in" in result.stderr


def test_old_images_that_moved_are_found_by_content_and_missing_ones_named(
    bank_run, products, tmp_path
):
    moved = shutil.copytree(products / "old", tmp_path / "moved")
    config = json.loads((bank_run / "config.json").read_text())
    config["data"]["path"] = str(tmp_path / "gone")
    (bank_run / "config.json").write_text(json.dumps(config))
    before = contents(bank_run)
    result = run("train", "--add", products / "new", "--model", bank_run)
    assert result.exit_code == 2
    assert "name the folder that has them now with --data" in result.stderr
    assert contents(bank_run) == before
    first = sorted((moved / "wood/train/good").iterdir())[0]
    first.rename(tmp_path / "aside.png")
    words = ("train", "--add", products / "new", "--model", bank_run, "--data", moved)
    result = run(*words)
    assert result.exit_code == 2
    assert "1 of 20 are not in" in result.stderr
    (tmp_path / "aside.png").rename(first)
    shutil.copy(
        products / "old/wood/test/good/000.png", moved / "wood/train/good/x.png"
    )
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert "1 images came to the run's data since" in result.stderr
    assert "Added fabric from the new images alone" in result.stdout
    assert "mean of the old ones" in result.stdout
    assert f"The run as it was is in {bank_run / 'before'}" in result.stdout
