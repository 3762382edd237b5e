"""Categories that a model was not trained on are marked wherever figures are."""

import csv
import io
import math
import warnings

import pytest

from keras_rlr.evaluation import evaluate_model
from keras_rlr.evaluation.report.page import (
    category_title,
    results_table,
    summary_title,
)
from keras_rlr.evaluation.result_file import evaluation_as_csv
from keras_rlr.training.best_on_test_set import merge_best
from tests.evaluation.evaluate_model_test import SIZE, noisy_elements
from tests.evaluation.stand_in_model import StandInModel

pytestmark = pytest.mark.backend_independent


def model_of(*categories):
    model = StandInModel(SIZE)
    model.trained_categories = categories
    return model


@pytest.fixture(scope="module")
def result():
    with pytest.warns(
        UserWarning, match=r"was not trained on c, d \(2 of 4 categories"
    ):
        return evaluate_model(model_of("a", "b", "e"), noisy_elements("abcd", 6))


def test_a_name_in_another_form_of_unicode_is_the_same():
    composed, decomposed = "m\u00fcll", "mu\u0308ll"
    elements = noisy_elements([decomposed, "b"], 6)
    result = evaluate_model(model_of(composed, "b"), elements)
    assert "unseen_categories" not in result
    assert set(result["categories"]) == {composed, "b"}


def test_they_are_named_in_the_result(result):
    assert result["unseen_categories"] == ["c", "d"]
    assert merge_best(result, result)["unseen_categories"] == ["c", "d"]


def test_they_are_marked_in_tables_and_so_is_the_mean(result):
    titles = [category_title(result, name) for name in ("a", "c")]
    titles += [summary_title(result, name) for name in ("mean", "pooled")]
    assert titles == [
        "a",
        "c (not trained on)",
        "mean (2 of 4 not trained on)",
        "pooled (2 of 4 not trained on)",
    ]
    page = results_table(result)
    assert all(title in page for title in titles)


def test_the_csv_counts_them(result):
    evaluation = {
        **result,
        "protocol": {"epoch": 1, "selected_on_test_set": False, "map_size": 256},
        "model": {"method": "RLR", "backbone": "x", "levels": [3], "seed": 0},
        "training": None,
        "environment": {"backend": "jax", "packages": {"keras-rlr": "0"}},
        "data": {"fingerprint": "abc"},
    }
    rows = csv.DictReader(io.StringIO(evaluation_as_csv(evaluation)))
    counts = {row["category"]: row["not_trained_on"] for row in rows}
    assert counts == {
        "a": "0",
        "b": "0",
        "c": "1",
        "d": "1",
        "mean": "2",
        "pooled": "2",
    }


@pytest.mark.parametrize("known", [(), ("a", "b", "c")])
def test_nothing_is_said_where_all_were_seen_or_nothing_is_known(known):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = evaluate_model(model_of(*known), noisy_elements("ab", 6))
    assert set(result) == {"categories", "mean", "pooled"}
    assert summary_title(result, "mean") == "mean"


def test_elements_without_label_or_category_are_refused():
    for key in ("label", "category"):
        elements = noisy_elements("ab", 4)
        del elements[3][key]
        with pytest.raises(ValueError, match=f"Element 3 of the data has no '{key}'"):
            evaluate_model(StandInModel(SIZE), elements)
    elements = noisy_elements("ab", 4)
    elements[2]["label"] = "good"
    with pytest.raises(ValueError, match="label of element 2 .* can't be read"):
        evaluate_model(StandInModel(SIZE), elements)


def test_dark_16_bit_images_are_spoken_of_once_for_all_batches():
    elements = noisy_elements("ab", 7)
    for element in elements:
        element["image"] = element["image"].astype("uint16") * 16
    model = PassOn(SIZE)
    with pytest.warns(UserWarning) as caught:
        evaluate_model(model, elements, batch_size=3)
    words = [str(warning.message) for warning in caught]
    assert [text for text in words if "the 14 uint16 images" in text]
    assert len([text for text in words if "bit_depth=12" in text]) == 1


class PassOn(StandInModel):
    """Looks at the images as a model does."""

    def predict(self, images, batch_size, verbose):
        pixels = [element["image"] for element in images]
        images.value_ranges.check(pixels, ["an image"] * len(images))
        output = super().predict(images, batch_size, verbose)
        assert not math.isnan(output["anomaly_score"].sum())
        return output


def test_two_forms_of_a_name_in_different_batches_are_one_category():
    composed, decomposed = "m\u00fcll", "mu\u0308ll"
    elements = noisy_elements([composed, "b", decomposed], 4)
    result = evaluate_model(StandInModel(SIZE), elements, batch_size=2)
    assert set(result["categories"]) == {composed, "b"}
