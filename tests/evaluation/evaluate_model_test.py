import json
import math
import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
)

from keras_rlr.evaluation import evaluate_model
from keras_rlr.evaluation.result_file import result_as_json
from keras_rlr.inputs.resize import resize_maps
from keras_rlr.metrics import pixel_bins
from keras_rlr.metrics.functional import aupro
from tests.evaluation.stand_in_model import StandInModel

pytestmark = pytest.mark.backend_independent

SIZE = 16


def noisy_elements(categories, count, masks=True, seed=0):
    """Elements of random images whose defects are a little brighter."""
    random = np.random.default_rng(seed)
    elements = []
    for category in categories:
        for i in range(count):
            height, width = random.integers(20, 40, 2)
            mask = np.zeros((height, width), "uint8")
            if i % 2:
                mask[4:14, 6:15] = 255
            image = (
                random.integers(0, 180, (height, width, 3)) + 40 * (mask > 0)[..., None]
            )
            element = {
                "image": image.astype("uint8"),
                "label": i % 2,
                "category": category,
            }
            elements.append({**element, "mask": mask} if masks else element)
    return elements


def pillow_mask(mask):
    return (
        np.array(Image.fromarray(mask).resize((SIZE, SIZE), Image.Resampling.NEAREST))
        > 0
    )


def skl(kind, labels, scores):
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return {
        f"{kind}_auroc": roc_auc_score(labels, scores),
        f"{kind}_ap": average_precision_score(labels, scores),
        f"{kind}_f1_max": f1.max(),
    }


def test_equals_scikit_learn_per_category_mean_and_pooled():
    elements = noisy_elements(["b", "a", "c"], 10)
    model = StandInModel(SIZE)
    result = evaluate_model(model, elements, batch_size=4)
    output = StandInModel(SIZE).predict([e["image"] for e in elements], 30, 0)
    labels = np.array([e["label"] for e in elements])
    masks = np.stack([pillow_mask(e["mask"]) for e in elements])
    maps, scores = output["anomaly_map"], output["anomaly_score"]
    category = np.array([e["category"] for e in elements])

    def expected(rows):
        return {
            **skl("image", labels[rows], scores[rows]),
            **skl("pixel", masks[rows].ravel(), maps[rows].ravel()),
            "pixel_aupro": aupro(masks[rows], maps[rows]),
        }

    assert list(result["categories"]) == ["a", "b", "c"]
    for name, figures in result["categories"].items():
        assert figures == pytest.approx(expected(category == name))
    assert result["pooled"] == pytest.approx(expected(slice(None)))
    for metric, value in result["mean"].items():
        values = [figures[metric] for figures in result["categories"].values()]
        assert value == pytest.approx(np.mean(values))
    assert model.batches == [4] * 8  # of 30 images: the last two are filled up


def test_the_mean_differs_from_the_pooled_figure_where_scales_differ():
    def element(value, label, category):
        image = np.full((SIZE, SIZE, 3), value, "uint8")
        return {
            "image": image,
            "label": label,
            "category": category,
            "mask": image[..., 0] * label,
        }

    elements = [
        element(10, 0, "dark"),
        element(20, 1, "dark"),
        element(110, 0, "light"),
        element(120, 1, "light"),
    ]
    result = evaluate_model(StandInModel(SIZE), elements)
    assert result["mean"]["image_auroc"] == 1.0
    assert result["pooled"]["image_auroc"] == 0.75


def test_categories_without_masks_are_nan_with_one_warning():
    elements = noisy_elements(["a"], 6) + noisy_elements(["b", "c"], 6, masks=False)
    with pytest.warns(UserWarning) as caught:
        result = evaluate_model(StandInModel(SIZE), elements)
    assert [str(w.message)[:21] for w in caught] == ["No masks for b, c: th"]
    only = evaluate_model(StandInModel(SIZE), elements[:6])
    for name in ("b", "c"):
        assert math.isnan(result["categories"][name]["pixel_auroc"])
        assert not math.isnan(result["categories"][name]["image_auroc"])
    pixel = only["categories"]["a"]["pixel_auroc"]
    assert result["mean"]["pixel_auroc"] == result["pooled"]["pixel_auroc"] == pixel


def test_no_masks_at_all_is_nan_everywhere():
    elements = noisy_elements(["a", "b"], 4, masks=False)
    with pytest.warns(UserWarning, match="No masks for a, b") as caught:
        result = evaluate_model(StandInModel(SIZE), elements)
    assert len(caught) == 1
    assert math.isnan(result["mean"]["pixel_auroc"])
    assert math.isnan(result["pooled"]["pixel_auroc"])


def test_normal_images_need_no_mask():
    elements = noisy_elements(["a"], 6)
    for element in elements:
        if not element["label"]:
            del element["mask"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate_model(StandInModel(SIZE), elements)
    assert result == evaluate_model(StandInModel(SIZE), noisy_elements(["a"], 6))


def test_a_category_with_one_kind_of_image_is_named():
    elements = [e for e in noisy_elements(["a"], 6) if not e["label"]]
    elements += noisy_elements(["b"], 6)
    with pytest.warns(UserWarning, match="NaN for a .image, pixel.") as caught:
        result = evaluate_model(StandInModel(SIZE), elements)
    assert len(caught) == 1
    assert math.isnan(result["categories"]["a"]["image_auroc"])
    assert result["mean"] == result["categories"]["b"]


def test_json_is_valid_and_undefined_figures_are_null():
    elements = noisy_elements(["a"], 4, masks=False)
    with pytest.warns(UserWarning, match="No masks"):
        result = evaluate_model(StandInModel(SIZE), elements)

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    read = json.loads(result_as_json(result), parse_constant=refuse)
    assert read["pooled"]["pixel_auroc"] is None
    assert read["pooled"]["image_auroc"] == result["pooled"]["image_auroc"]


def test_maps_can_be_compared_at_the_images_own_sizes():
    elements = noisy_elements(["a", "b"], 6)
    del elements[0]["mask"]  # a normal image needs none
    result = evaluate_model(StandInModel(SIZE), elements, map_size="original")
    maps, masks = [], []
    for element in elements:
        height, width = element["image"].shape[:2]
        small = StandInModel(SIZE).predict([element["image"]], 1, 0)["anomaly_map"][0]
        scaled = Image.fromarray(small).resize((width, height), Image.BILINEAR)
        # Pillow rounds otherwise in the last bits, on which ranks depend.
        (ours,) = resize_maps(small[None], [(height, width)])
        np.testing.assert_allclose(ours, np.asarray(scaled), atol=1e-5)
        maps.append(ours)
        masks.append(element.get("mask", np.zeros((height, width))) > 0)
    for name, part in (("a", slice(0, 6)), ("b", slice(6, 12))):
        truth = np.concatenate([mask.ravel() for mask in masks[part]])
        score = np.concatenate([values.ravel() for values in maps[part]])
        figures = result["categories"][name]
        assert figures["pixel_auroc"] == pytest.approx(
            roc_auc_score(truth, score),
            abs=1e-5,  # Pillow rounds otherwise
        )
        assert figures["pixel_ap"] == pytest.approx(
            average_precision_score(truth, score), abs=1e-6
        )
    truth = np.concatenate([mask.ravel() for mask in masks])
    score = np.concatenate([values.ravel() for values in maps])
    pooled = result["pooled"]["pixel_auroc"]
    assert pooled == pytest.approx(roc_auc_score(truth, score), abs=1e-3)
    plain = evaluate_model(StandInModel(SIZE), elements)
    assert plain["pooled"]["image_auroc"] == result["pooled"]["image_auroc"]
    assert plain["pooled"]["pixel_auroc"] != pooled


def test_an_unknown_map_size_is_refused():
    with pytest.raises(ValueError, match="must be 'model' or 'original'. Received"):
        evaluate_model(StandInModel(SIZE), noisy_elements(["a"], 2), map_size=512)


def test_reports_progress():
    calls = []
    elements = noisy_elements(["a"], 5)
    evaluate_model(
        StandInModel(SIZE), elements, 2, on_progress=lambda *call: calls.append(call)
    )
    assert calls == [(2, 5), (4, 5), (5, 5)]


def test_refuses_an_empty_data_set():
    with pytest.raises(ValueError, match="no images, so there is nothing to evaluate"):
        evaluate_model(StandInModel(SIZE), [])


# Below the pixels of all maps nothing is kept. With as many, the images at their own
# sizes, which are larger, are counted from the midst of the first category on.
@pytest.mark.parametrize(
    ("map_size", "most"),
    [
        ("model", 24 * SIZE**2 - 1),
        ("original", 24 * SIZE**2 - 1),
        ("original", 24 * SIZE**2),
    ],
)
def test_more_pixels_than_are_kept_are_counted(map_size, most, monkeypatch):
    elements = noisy_elements(["bolt", "nut"], 12)
    exact = evaluate_model(StandInModel(SIZE), elements, map_size=map_size)
    monkeypatch.setattr(pixel_bins, "MOST_EXACT_PIXELS", most)
    with pytest.warns(UserWarning, match="24 anomaly maps .* counted in bins"):
        counted = evaluate_model(StandInModel(SIZE), elements, map_size=map_size)
    bounds = counted.pop("pooled_error_bounds")
    exact.pop("pooled_error_bounds", None)
    for group in ("bolt", "nut"):
        found = counted["categories"][group]
        assert found == pytest.approx(exact["categories"][group], abs=2e-3)
    assert counted["categories"] != exact["categories"]
    assert counted["pooled"] == pytest.approx(exact["pooled"], abs=2e-3)
    assert set(bounds) == {name for name in exact["pooled"] if name[:5] == "pixel"}


@pytest.mark.parametrize("map_size", ["model", "original"])
def test_as_many_pixels_as_are_kept_are_exact(map_size, monkeypatch):
    elements = noisy_elements(["bolt", "nut"], 12)
    exact = evaluate_model(StandInModel(SIZE), elements, map_size=map_size)
    most = 24 * SIZE**2
    if map_size == "original":
        # Of one category, not of both.
        sizes = [element["mask"].size for element in elements]
        most = max(sum(sizes[:12]), sum(sizes[12:]))
    monkeypatch.setattr(pixel_bins, "MOST_EXACT_PIXELS", most)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*too many pixels to be kept")
        assert evaluate_model(StandInModel(SIZE), elements, map_size=map_size) == exact


def test_without_masks_nothing_is_said_of_bins(monkeypatch):
    elements = noisy_elements(["bolt"], 6, masks=False)
    monkeypatch.setattr(pixel_bins, "MOST_EXACT_PIXELS", SIZE**2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*counted in bins")
        with pytest.warns(UserWarning, match="No masks for bolt"):
            result = evaluate_model(StandInModel(SIZE), elements)
    assert math.isnan(result["pooled"]["pixel_aupro"])
