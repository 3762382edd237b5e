import numpy as np
import pytest

from keras_rlr.evaluation.confusion import confusion
from keras_rlr.evaluation.report.cases import (
    category_scale,
    choose_cases,
    draw_cases,
    errors_shown,
    rebuilds,
)
from keras_rlr.evaluation.report.curves import binned_curve_points, curve_points
from keras_rlr.evaluation.test_predictions import TestPredictions
from keras_rlr.metrics.functional import auroc
from keras_rlr.metrics.pixel_bins import PixelBins
from tests.tiny_model import random_images, tiny_model

pytestmark = pytest.mark.backend_independent


def predictions():
    return TestPredictions(
        labels=np.array([0, 0, 0, 1, 1, 1, 0, 1], bool),
        scores=np.array([0.1, 0.3, 0.2, 0.9, 0.25, 0.6, 5.0, 7.0], "float32"),
        categories=np.array(["a"] * 6 + ["b"] * 2, object),
        maps=np.zeros((8, 4, 4), "float32"),
        masks=np.zeros((8, 4, 4), bool),
    )


def test_the_worst_and_the_best_are_chosen():
    chosen = choose_cases(predictions(), "a")
    assert [case.index for case in chosen] == [4, 1, 3, 0]
    assert chosen[0].title == "worst: the lowest score of the anomalous images"
    assert [c.index for c in choose_cases(predictions(), "a", each=2)] == [
        *(4, 5, 1, 2, 3, 0)
    ]


def test_an_image_is_shown_once():
    assert [case.index for case in choose_cases(predictions(), "b")] == [7, 6]


def test_errors_come_after_the_worst_and_the_best():
    chosen = choose_cases(predictions(), "a", threshold=0.25, errors=8)
    assert [(case.index, case.decision) for case in chosen] == [
        *((4, "found"), (1, "false alarm"), (3, "found"), (0, "passed")),
    ]
    chosen = choose_cases(predictions(), "a", threshold=0.7, errors=1)
    assert [(case.index, case.decision) for case in chosen] == [
        *((4, "missed"), (1, "passed"), (3, "found"), (0, "passed")),
    ]
    chosen = choose_cases(predictions(), "a", threshold=0.7, errors=2)
    assert (chosen[-1].index, chosen[-1].decision) == (5, "missed")
    assert chosen[-1].title == "an anomalous image below the threshold"


def test_many_categories_show_fewer_errors():
    assert [errors_shown(count) for count in (1, 6, 12, 15, 1000)] == [8, 8, 4, 3, 1]


def test_what_looks_at_tiles_shows_nothing_rebuilt():
    model = tiny_model(tiles=(1, 2), overlap=0.25)
    images = random_images(1, 32, 56)
    outputs = model.predict(images, verbose=0, original_size=False)
    maps, scores = outputs["anomaly_map"], outputs["anomaly_score"]
    scale = category_scale(predictions(), "a", 0.4)
    (picture,) = draw_cases(model, [{"image": images[0]}], maps, scores, scale)
    assert not rebuilds(model) and rebuilds(tiny_model())
    assert picture.width < 3 * 384 + 100


def test_confusion_counts_by_each_categorys_threshold():
    counts = confusion(predictions(), {"a": 0.25, "b": 6.0})
    assert counts == {
        "a": {
            "true_positive": 3,
            "false_negative": 0,
            "false_positive": 1,
            "true_negative": 2,
        },
        "b": {
            "true_positive": 1,
            "false_negative": 0,
            "false_positive": 0,
            "true_negative": 1,
        },
    }
    assert confusion(predictions(), {"a": 0.25, "b": None}) == {}


def test_colours_begin_at_the_threshold_or_at_the_scores():
    assert category_scale(predictions(), "a", 0.4).threshold == 0.4
    scale = category_scale(predictions(), "b", None)
    assert (scale.low, scale.high) == (5.0, 7.0)


def test_pictures_have_five_panels():
    model = tiny_model()
    images = random_images(2)
    mask = np.zeros((32, 32), "uint8")
    mask[4:9, 4:9] = 1
    elements = [{"image": images[0], "mask": mask}, {"image": images[1]}]
    outputs = model.predict(images, verbose=0)
    scale = category_scale(predictions(), "a", 0.4)
    maps, scores = outputs["anomaly_map"], outputs["anomaly_score"]
    pictures = draw_cases(model, elements, maps, scores, scale)
    sides = {picture.size for picture in pictures}
    ((width, height),) = sides
    # Small images are enlarged to 256 pixels.
    assert height == 256
    assert width > 5 * height
    truth = np.asarray(pictures[0])[:, 264:520].mean(-1) > 128
    # The mask's square, enlarged eight times.
    assert truth.sum() == 40 * 40
    assert truth[32:72, 32:72].all()


def area(curve):
    return np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])


@pytest.mark.parametrize("count", [12, 300, 5000])
def test_curves_enclose_the_auroc(count):
    generator = np.random.default_rng(count)
    labels = np.arange(count) % 6 == 0
    scores = np.round(generator.random(count) + 0.5 * labels, 1 if count < 50 else 5)
    curve = curve_points(labels, scores)
    assert len(curve["false_positive_rate"]) <= 802
    for name in ("true_positive_rate", "false_positive_rate"):
        assert curve[name][0] == 0 and curve[name][-1] == 1
        assert (np.diff(curve[name]) >= 0).all()
    assert area(curve) == pytest.approx(auroc(labels, scores), abs=2e-3)
    assert curve_points(np.zeros(3), np.ones(3)) is None


def test_curves_of_bins_are_those_of_the_values():
    generator = np.random.default_rng(0)
    labels = generator.random((1, 40, 50)) < 0.2
    scores = (generator.normal(size=labels.shape) + labels).astype("float32")
    bins = PixelBins()
    bins.update(labels, scores)
    exact, counted = curve_points(labels, scores), binned_curve_points(bins)
    for x, y in (
        ("false_positive_rate", "true_positive_rate"),
        ("recall", "precision"),
    ):
        places = np.linspace(0.05, 0.95, 19)
        np.testing.assert_allclose(
            np.interp(places, counted[x], counted[y]),
            np.interp(places, exact[x], exact[y]),
            atol=0.02,
        )
    assert binned_curve_points(PixelBins()) is None
