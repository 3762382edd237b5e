import re

import pytest

import keras_rlr
from keras_rlr.datasets import FolderDataset, write_procedural_dataset
from keras_rlr.evaluation.describe_evaluation import describe_evaluation
from keras_rlr.evaluation.evaluate_model import measure
from keras_rlr.evaluation.report.page import recognition_in_words
from keras_rlr.evaluation.report.report_html import report_html
from keras_rlr.evaluation.test_predictions import predict_test_set
from keras_rlr.metrics import pixel_bins
from tests.tiny_model import IMAGE_SIZE, tiny_backbone

pytestmark = pytest.mark.backend_independent


def test_maps_with_too_many_pixels_to_be_kept_are_shown_all_the_same(
    tmp_path, monkeypatch
):
    data = write_procedural_dataset(
        tmp_path / "data",
        image_size=72,
        train_per_category=3,
        test_normal=2,
        test_anomalous=4,
        categories=["gear"],
    )
    model = keras_rlr.PatchCore(
        backbone=tiny_backbone(),
        levels=(1, 2),
        image_size=IMAGE_SIZE,
        tiles=(2, 2),
        seed=0,
    )
    model.fit(FolderDataset(data), verbose=0)
    test = FolderDataset(data, "test")

    def shown():
        kept = predict_test_set(model, test, original_size=True)
        described = describe_evaluation(model, test, kept, measure(kept))
        page = report_html("A report", model, test, kept, described)
        captions = re.findall("<figcaption>(.*?)</figcaption>", page)
        return kept, captions

    kept, expected = shown()
    assert len(kept.maps) == len(test)
    for most in (kept.maps.size, kept.maps.size - 1):
        monkeypatch.setattr(pixel_bins, "MOST_EXACT_PIXELS", most)
        with pytest.warns(UserWarning, match="6 anomaly maps have too many pixels"):
            counted, captions = shown()
        assert counted.maps is None
        assert captions == expected
    assert sum("good" in caption for caption in captions) == 2


def test_images_of_products_that_the_model_does_not_know_are_counted_apart(tmp_path):
    data = write_procedural_dataset(
        tmp_path / "data",
        image_size=72,
        train_per_category=8,
        test_normal=3,
        test_anomalous=2,
        categories=["gear", "wood", "tiles"],
    )
    model = keras_rlr.PatchCore(
        backbone=tiny_backbone(), levels=(1, 2), image_size=IMAGE_SIZE, seed=0
    )
    learned = FolderDataset(data, categories=["gear", "wood"])
    model.fit(learned, verbose=0)
    model.calibrate(learned, false_positive_rate=0.2)
    assert model.known_categories == ("gear", "wood")
    test = FolderDataset(data, "test")
    kept = predict_test_set(model, test)
    with pytest.warns(UserWarning, match="not trained on tiles"):
        described = describe_evaluation(model, test, kept, measure(kept))
    found = {"tiles": [], "gear": [], "wood": []}
    names = [*model.known_categories, None]
    for element in test:
        output = model.predict(element["image"][None], verbose=0)
        found[element["category"]].append(names[output["category"][0]])
    assert described["recognition"] == {
        "images": 10,
        "right": found["gear"].count("gear") + found["wood"].count("wood"),
        "unknown": (found["gear"] + found["wood"]).count(None),
        "of_other_products": 5,
        "other_products_unknown": found["tiles"].count(None),
    }
    words = recognition_in_words(described)
    unknown = found["tiles"].count(None)
    assert f"does not recognise, {unknown} were taken for none. Pooled" in words
