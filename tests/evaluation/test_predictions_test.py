import warnings

import numpy as np
import pytest

from keras_rlr.evaluation.test_predictions import predict_test_set
from tests.evaluation.stand_in_model import StandInModel
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, random_images, tiny_model

pytestmark = pytest.mark.backend_independent


def element(name, mask, label=1):
    return {
        "image": np.full((*mask.shape, 3), 100, "uint8"),
        "label": label,
        "category": "nut",
        "mask": mask,
        "path": name,
    }


def test_odd_masks_are_warned_of_at_the_end():
    right, thin = np.zeros((40, 40), "uint8"), np.zeros((40, 40), "uint8")
    right[:10, :10], thin[:, 0] = 1, 1
    elements = [element("right.png", right)]
    elements += [element("good.png", 0 * right, label=0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict_test_set(StandInModel(10), elements)
    elements += [element("empty.png", 0 * right), element("thin.png", thin)]
    elements += [element("full.png", 0 * right + 1), element("large.png", 1 - right)]
    with pytest.warns(UserWarning) as warned:
        predict_test_set(StandInModel(10), elements, batch_size=2)
    sentences = [str(warning.message) for warning in warned]
    assert len(sentences) == 4
    for name, words in (
        ("empty", "have no anomalous pixel"),
        ("full", "call every pixel anomalous"),
        ("large", "more than half"),
        ("thin", "vanish when they are brought to 10x10"),
    ):
        (sentence,) = [s for s in sentences if words in s]
        assert sentence.startswith("1 of 5 masks ") and f" {name}.png." in sentence


def test_a_model_in_training_looks_where_the_category_of_an_image_says():
    half = IMAGE_SIZE // 2
    regions = {"nut": (0, 0, 0.5, 1), "bolt": (0, 0.5, 1, 0.5)}
    names = ["nut", "bolt", "washer", "bolt", "nut"]
    elements = [
        {"image": image, "label": i % 2, "category": name}
        for i, (image, name) in enumerate(
            zip(random_images(len(names)), names, strict=True)
        )
    ]
    model = tiny_model(**ONE_LEVEL)
    # What each mask gives when it is of all images.
    wanted = {}
    for name in set(names):
        model.region_of_interest = regions.get(name)
        wanted[name] = predict_test_set(model, elements)
    model.region_of_interest = regions
    assert not model.known_categories
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*looked at whole")
        found = predict_test_set(model, elements, batch_size=2)
    for i, name in enumerate(names):
        np.testing.assert_allclose(found.maps[i], wanted[name].maps[i], rtol=1e-5)
        assert found.scores[i] == pytest.approx(wanted[name].scores[i], rel=1e-5)
        right, upper = found.maps[i][:, half:], found.maps[i][:half]
        assert (np.ptp(right) == 0) == (name == "nut")
        assert (np.ptp(upper) == 0) == (name == "bolt")
