"""Masks of a test set that are missing, at odds with labels, too small or NaN."""

import math
import re
import warnings

import numpy as np
import pytest

from keras_rlr.evaluation import evaluate_model
from keras_rlr.metrics.functional import auroc
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, tiny_model

SIDE = 4 * IMAGE_SIZE


@pytest.fixture(scope="module")
def model():
    return tiny_model(**ONE_LEVEL)


def mask_of(left, side=8):
    """Of an image that is brought to a quarter of its side."""
    mask = np.zeros((SIDE, SIDE), "uint8")
    mask[9 : 9 + side, left : left + side] = 1
    return mask


def elements():
    """Two normal and three anomalous images, with masks."""
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3))
    return [
        {
            "image": image.astype("uint8"),
            "label": int(i > 1),
            "category": "nut",
            "mask": mask_of(8 * i) * (i > 1),
        }
        for i, image in enumerate(images)
    ]


def evaluated(model, data):
    """Figures, and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figures = model.evaluate(data, batch_size=2, verbose=0, return_dict=True)
    return figures, [str(w.message) for w in said if w.category is UserWarning]


def evaluated_by_category(model, data, **options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figures = evaluate_model(model, data, **options)["categories"]["nut"]
    return figures, [str(w.message) for w in said if w.category is UserWarning]


@pytest.mark.parametrize("missing", ["absent", "none"])
@pytest.mark.parametrize("evaluate", [evaluated, evaluated_by_category])
def test_normal_images_need_no_mask(model, evaluate, missing):
    data = elements()
    maps = model.predict([each["image"] for each in data], verbose=0)["anomaly_map"]
    marked = np.stack([each["mask"][2::4, 2::4] for each in data])
    data[0]["mask"] = None
    if missing == "absent":
        del data[0]["mask"]
    figures, said = evaluate(model, data)
    assert not said
    assert figures["pixel_auroc"] == pytest.approx(auroc(marked, maps), abs=1e-6)


def test_anomalous_images_without_masks_are_counted(model):
    data = elements()
    del data[3]["mask"]
    data[4]["mask"] = None
    figures, (said,) = evaluated(model, data)
    assert math.isnan(figures["pixel_auroc"]) and not math.isnan(figures["image_auroc"])
    assert said.startswith("2 of the 3 anomalous images have no mask, so the figures")
    figures, (said,) = evaluated_by_category(model, data)
    assert math.isnan(figures["pixel_auroc"]) and not math.isnan(figures["image_auroc"])
    assert said.startswith("No masks for nut (2 of its 3 anomalous images have none):")
    for each in data:
        each.pop("mask", None)
    figures, (said,) = evaluated(model, data)
    assert math.isnan(figures["pixel_auroc"]) and "The data has no masks, so" in said


def test_masks_of_normal_images_must_be_empty(model):
    data = elements()
    data[1] |= {"mask": mask_of(8), "path": "good/1.png"}
    words = re.escape("Element 1 (good/1.png) of the data has the label 0, normal, and")
    with pytest.raises(ValueError, match=words):
        model.evaluate(data, batch_size=1, verbose=0)
    with pytest.raises(ValueError, match=words):
        evaluate_model(model, data, batch_size=1)


def test_defects_that_vanish_are_announced(model):
    data = elements()
    data[2]["mask"] = mask_of(8, 1)  # nearest neighbour takes row and column 10
    data[3] |= {"mask": mask_of(12, 1), "path": "b.png"}
    with_empty = [dict(each) for each in data]
    for i in (2, 3):
        with_empty[i]["mask"] = 0 * data[i]["mask"]
    figures, (said,) = evaluated(model, data)
    assert said.startswith("2 of 3 masks have defects smaller than a map's pixel")
    assert said.endswith("image_size): image 2, b.png.")
    assert figures == pytest.approx(evaluated(model, with_empty)[0])
    _, (same,) = evaluated_by_category(model, data)
    assert same == said
    # At their own size they are there.
    figures, said = evaluated_by_category(model, data, map_size="original")
    assert not said and not math.isnan(figures["pixel_auroc"])


@pytest.mark.parametrize("label", [0, 1])
def test_masks_that_are_nan_are_refused(model, label):
    data = elements()
    mask = np.zeros((SIDE, SIDE), "float32")
    mask[5, 5:8] = np.nan
    data[3] |= {"mask": mask, "label": label}
    words = f"Element 3 of the data: 3 of the {SIDE**2} values of a mask are NaN"
    with pytest.raises(ValueError, match=words):
        model.evaluate(data, verbose=0)
    with pytest.raises(ValueError, match=words):
        evaluate_model(model, data)
    model.region_of_interest = None
    with pytest.raises(ValueError, match="of a mask are NaN"):
        model.region_of_interest = mask
    with pytest.raises(ValueError, match="of a mask are NaN"):
        model.ignore(mask)
    if label == 0:
        with pytest.raises(ValueError, match="Element 0 of the data: 3 of"):
            model.calibrate(data[3:], 0.5)


def test_masks_of_no_numbers_are_refused(model):
    data = elements()
    data[2]["mask"] = np.full((4, 4), None)
    with pytest.raises(ValueError, match="A mask must be of numbers.* dtype object"):
        model.evaluate(data, verbose=0)
