"""Categories that come with images and that the model does not know are announced."""

import warnings

import numpy as np
import pytest

from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

SIDE = 32


def images_of(name, count, seed):
    """Nuts are dark, bolts are light."""
    noise = random_images(count, SIDE, SIDE, seed=seed) // 8
    return noise + np.uint8(150 if name == "bolt" else 20)


def elements(name, count=10, seed=0, called=None):
    return [
        {"image": image, "category": called or name}
        for image in images_of(name, count, seed)
    ]


@pytest.fixture(scope="module")
def model():
    detector = tiny_model(**ONE_LEVEL)
    images = [images_of(name, 4, 9) for name in ("bolt", "nut")]
    detector.fit(np.concatenate(images), epochs=1, verbose=0)
    detector.calibrate([*elements("bolt"), *elements("nut")], 0.1)
    assert detector.known_categories == ("bolt", "nut")
    return detector


def said_of(call):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        outputs = call()
    return outputs, [str(w.message) for w in said if w.category is UserWarning]


def test_predict_announces_them_once_with_count_and_names(model):
    data = [
        *elements("bolt", 3, called="Bolt"),
        *elements("nut", 2, called="typo"),
        *elements("nut", 2),
        *({"image": image} for image in images_of("bolt", 2, 3)),
    ]
    outputs, (said,) = said_of(lambda: model.predict(data, batch_size=2, verbose=0))
    assert said.startswith(
        "5 of 9 images came with a category that the model does not know ('Bolt', "
        "'typo'): which product they show is recognised by the images. It knows bolt, "
        "nut;"
    )
    bare = [{"image": each["image"]} for each in data]
    expected, said = said_of(lambda: model.predict(bare, batch_size=2, verbose=0))
    assert not said
    np.testing.assert_array_equal(outputs["category"], expected["category"])
    known = [*elements("bolt", 2), *elements("nut", 2)]
    _, said = said_of(lambda: model.predict_on_batch(known))
    assert not said


def test_evaluate_announces_them_where_they_say_where_to_look(model):
    data = [{**each, "label": 0} for each in elements("bolt", 2, called="Bolt")]
    words = "came with a category that the model does not know ('Bolt')"
    _, said = said_of(lambda: model.evaluate(data, verbose=0))
    assert not any(words in sentence for sentence in said)
    model.region_of_interest = {"bolt": (0, 0, 0.5, 1)}
    _, said = said_of(lambda: model.evaluate(data, verbose=0))
    model.region_of_interest = None
    assert sum(f"2 of 2 images {words}" in sentence for sentence in said) == 1


def test_a_model_without_categories_takes_no_notice():
    model = tiny_model(**ONE_LEVEL)
    model.fit(images_of("bolt", 4, 9), epochs=1, verbose=0)
    data = elements("bolt", 2, called="typo")
    _, said = said_of(lambda: model.predict(data, verbose=0))
    assert not said
    model.calibrate(images_of("bolt", 10, 0), 0.1)
    _, said = said_of(lambda: model.predict(data, verbose=0))
    assert not said
    model.thresholds.set_categories([("bolt", 1.0)])
    _, (said,) = said_of(lambda: model.predict(data, verbose=0))
    assert "('typo'): what holds for all images holds for them. It knows bolt;" in said
