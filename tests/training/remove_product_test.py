"""What of a run goes with a product that is removed from it, and what can't."""

import json

import keras
import numpy as np
import pytest

from keras_rlr.datasets import FolderDataset
from keras_rlr.detectors.bank_rows import rows_taken_from
from keras_rlr.detectors.loading import load_model
from keras_rlr.training.add_products import add_products
from keras_rlr.training.images_record import read_run_images
from keras_rlr.training.remove_product import drop_patches, remove_product
from tests.run_command import run

pytestmark = [
    pytest.mark.backend_independent,
    pytest.mark.filterwarnings("ignore:.*too few for a false-positive rate"),
]

OLD = ["gear", "wood"]


def bank_of(model):
    return keras.ops.convert_to_numpy(model.memory_bank.patches)


def test_the_new_product_can_be_removed_again(
    grown_bank_run, product_runs, products, tmp_path
):
    folder = tmp_path / "removed"
    result = run(
        "train", "--remove", "fabric", "--model", grown_bank_run[0], "--output", folder
    )
    assert result.exit_code == 0, result.stderr
    assert "22 of its patches" in result.stdout
    stays = result.stdout.partition("What stays in the model: ")[2]
    assert stays.startswith("its share in the mean and spread by which features are")
    assert "trained on" not in result.stderr
    before = load_model(product_runs / "patchcore/model.keras")
    after = load_model(folder / "model.keras")
    np.testing.assert_array_equal(bank_of(after), bank_of(before))
    assert after.known_categories == after.trained_categories == tuple(OLD)
    assert after.thresholds.by_category == pytest.approx(before.thresholds.by_category)
    assert after.threshold == pytest.approx(before.threshold)
    record = read_run_images(folder / "images.csv")
    assert record == read_run_images(product_runs / "patchcore/images.csv")
    # So it can be added anew, and the run that it was removed from still has it.
    again = add_products(folder, products / "new", tmp_path / "again")
    np.testing.assert_array_equal(
        bank_of(again["model"]), bank_of(load_model(grown_bank_run[0] / "model.keras"))
    )


def test_no_bank_is_left_empty(product_runs, products):
    model = load_model(product_runs / "patchcore/model.keras")
    gear, wood = (FolderDataset(products / "old", "train", [name]) for name in OLD)
    own = rows_taken_from(model, gear) & ~rows_taken_from(model, wood)
    assert own.any()
    model.memory_bank.store(bank_of(model)[own])
    assert drop_patches(model, gear, wood) is None
    assert len(bank_of(model)) == own.sum()


def test_a_product_of_images_that_are_gone_is_removed_as_far_as_can_be(
    bank_run, tmp_path
):
    config = json.loads((bank_run / "config.json").read_text())
    config["data"]["path"] = str(tmp_path / "gone")
    (bank_run / "config.json").write_text(json.dumps(config))
    before = load_model(bank_run / "model.keras")
    with pytest.warns(UserWarning, match="images were not found.*There is no folder"):
        result = remove_product(bank_run, "gear")
    after = load_model(bank_run / "model.keras")
    assert "its patches in the memory bank" in result["stays"][0]
    np.testing.assert_array_equal(bank_of(after), bank_of(before))
    assert after.known_categories == ("wood",)
    assert set(after.thresholds.by_category) <= {"wood"}
    scores = before.thresholds.calibration_scores.of("wood")
    assert after.threshold == pytest.approx(scores.max(), rel=1e-3)
    record = (bank_run / "images.csv").read_text()
    assert "wood/" in record
    assert "gear/" not in record
