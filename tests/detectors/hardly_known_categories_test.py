"""Products of few images, of equal ones, of many, and of names that differ unseen."""

import tracemalloc
import unicodedata
import warnings

import keras
import numpy as np
import pytest

from keras_rlr.detectors.category_statistics import appearance_of, learn_categories
from keras_rlr.detectors.known_categories import KnownCategories
from keras_rlr.evaluation.evaluate_model import evaluate_model
from tests.products import COLOURS, elements_of, images_of
from tests.tiny_model import ONE_LEVEL, tiny_model

COUNTS = {"bolt": 12, "nut": 9, "washer": 7}


def elements(images, category):
    return [{"image": image, "category": category} for image in images]


@pytest.mark.backend_independent
def test_of_products_whose_images_are_all_the_same_none_is_recognised():
    bolt, nut = (images_of(COLOURS[name], 1, 0) for name in ("bolt", "nut"))
    model = tiny_model(**ONE_LEVEL)
    normal = [
        *elements(np.repeat(bolt, 12, axis=0), "bolt"),
        *elements(np.repeat(nut, 12, axis=0), "nut"),
    ]
    with pytest.warns(UserWarning, match="of each category are all alike"):
        model.calibrate(normal, false_positive_rate=0.1)
    assert model.known_categories == ()
    for category in ("bolt", None):
        found = model.predict([{"image": bolt[0], "category": category}], verbose=0)
        assert not found["is_anomalous"].any()


@pytest.mark.backend_independent
def test_a_product_that_varies_is_known_beside_many_equal_images():
    generator = np.random.default_rng(0)
    rendered = np.ones((60, 1)) * generator.normal(0, 1, 40)
    photographed = generator.normal(8, 1, (6, 40))
    names = ["rendered"] * 60 + ["photographed"] * 6
    features = np.concatenate([rendered, photographed])
    scores = generator.gamma(9, 1, len(names))
    statistics, _ = learn_categories(scores, features, names, 0.1)
    known = KnownCategories()
    known.set(statistics)
    new = np.concatenate([rendered[:5], generator.normal(8, 1, (20, 40))])
    nearest, is_known = known.recognize_many(new.astype("float32"))
    assert is_known.all()
    assert [statistics.names[i] for i in nearest] == [
        *["rendered"] * 5,
        *["photographed"] * 20,
    ]
    _, strange = known.recognize_many(np.full((1, 40), -40, "float32"))
    assert not strange.any()


@pytest.mark.backend_independent
def test_channels_that_say_nothing_leave_the_others_their_spread():
    """As where most of a network's channels are always 0."""
    generator = np.random.default_rng(1)
    features = np.zeros((20, 5))
    features[:, :2] = generator.normal(0, 3, (20, 2))
    spreads = appearance_of(features, np.array(["nut"] * 20, object)).spreads
    np.testing.assert_allclose(spreads[:2], features[:, :2].std(axis=0, ddof=1))
    assert (spreads[2:] > 0.01).all()


@pytest.mark.backend_independent
def test_hundreds_of_products_fill_no_memory():
    generator = np.random.default_rng(2)
    groups = np.repeat(np.arange(150), 4)
    centers = generator.normal(0, 4, (150, 200))
    features = centers[groups] + generator.normal(0, 1, (600, 200))
    names = [f"product {number:03}" for number in groups]
    tracemalloc.start()
    statistics, _ = learn_categories(np.ones(600), features, names, 0.01)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All differences at once are 144 MB.
    assert peak < 15e6
    known = KnownCategories()
    known.set(statistics)
    # More than are looked at together.
    many = features.astype("float32")
    expected = [keras.ops.convert_to_numpy(x) for x in known.recognize(many)]
    for found, wanted in zip(known.recognize_many(many), expected, strict=True):
        assert len(found) == 600
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(expected[0], groups)


@pytest.mark.backend_independent
def test_products_without_an_image_to_calibrate_on_are_named():
    model = tiny_model(**ONE_LEVEL)
    shown = elements_of(COUNTS)
    with pytest.warns(UserWarning, match="no image of nut, washer to calibrate on"):
        model.calibrate(elements_of({"bolt": 20}), 0.1, training_images=shown)
    assert model.known_categories == tuple(COUNTS)
    assert set(model.thresholds.by_category) == {"bolt"}


@pytest.mark.backend_independent
def test_products_of_one_image_are_named():
    with pytest.warns(UserWarning, match="a single image .* looks like: nut. New"):
        tiny_model(**ONE_LEVEL).calibrate(elements_of({"bolt": 20, "nut": 1}), 0.1)


@pytest.mark.backend_independent
def test_images_without_categories_leave_those_of_training_images_unused():
    model = tiny_model(**ONE_LEVEL)
    unnamed = elements_of(COUNTS, with_category=False)
    with pytest.warns(UserWarning, match="known what bolt, nut, washer look like, but"):
        model.calibrate(unnamed, 0.1, training_images=elements_of(COUNTS))
    assert model.known_categories == ()


@pytest.mark.backend_independent
def test_a_category_is_known_by_either_form_of_unicode():
    composed = "Schl\u00fcssel"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed

    def called(name, seed):
        return [
            {**each, "category": name if each["category"] == "nut" else "bolt"}
            for each in elements_of({"bolt": 12, "nut": 10}, seed)
        ]

    model = tiny_model(**ONE_LEVEL)
    model.fit(called(composed, 1), epochs=1, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.calibrate(called(decomposed, 2), false_positive_rate=0.1)
        assert model.known_categories == (composed, "bolt")
        # The given name decides, whatever an image shows.
        bolt = images_of(COLOURS["bolt"], 1, 3)[0]
        found = model.predict([{"image": bolt, "category": decomposed}], verbose=0)
        assert found["category"].tolist() == [0]
        assert model.pixel_threshold_of(decomposed) == model.pixel_threshold_of(0)
    test = [
        {**each, "label": i % 2, "mask": np.eye(32) * (i % 2)}
        for i, each in enumerate(called(decomposed, 4))
    ]
    result = evaluate_model(model, test)
    assert set(result["categories"]) == {composed, "bolt"}
    assert "unseen_categories" not in result
    model.train_on_batch(images_of(COLOURS["nut"], 4, 5))
    model.fit(called(decomposed, 1), epochs=1, verbose=0)
    assert model.trained_categories == (composed, "bolt")
