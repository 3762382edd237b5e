"""Products that are recognised by their images, and scores in units of their own."""

import math

import keras
import numpy as np
import pytest

from keras_rlr.detectors.category_statistics import (
    UNKNOWN_FACTOR,
    appearance_of,
    distances_left_out,
    learn_categories,
)
from keras_rlr.detectors.known_categories import KnownCategories
from keras_rlr.detectors.score_moments import score_moments, scores_left_out
from tests.products import COLOURS, elements_of, images_of, strange_images
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

COUNTS = {"bolt": 12, "nut": 9, "washer": 7}
RATE = 0.1


@pytest.fixture(scope="module")
def model():
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(elements_of(COUNTS), false_positive_rate=RATE)
    return model


@pytest.fixture(scope="module")
def unlabelled():
    return elements_of(COUNTS, seed=50, with_category=False)


def names_of(counts):
    return [name for name, count in counts.items() for _ in range(count)]


def features_and_scores(seed=0):
    """Three groups of features that differ, and scores of other sizes each."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(3), list(COUNTS.values()))
    features = generator.normal(0, [1, 2, 0.5, 0.1], (len(groups), 4))
    features += np.array([0, 12, 30])[groups, None] * [1, 2, 0.5, 0.1]
    scores = generator.gamma(9, 1, len(groups)) * np.array([1.0, 3.0, 0.2])[groups]
    return features, scores, groups, np.array(list(COUNTS), object)[groups]


def test_a_product_is_that_of_the_nearest_mean():
    """As written out in NumPy, image by image."""
    features, scores, groups, names = features_and_scores()
    statistics, _ = learn_categories(scores, features, list(names), RATE)
    known = KnownCategories()
    known.set(statistics)
    means = [features[groups == k].mean(0) for k in range(3)]
    deviations = np.concatenate([features[groups == k] - means[k] for k in range(3)])
    spread = np.sqrt((deviations**2).sum(0) / (len(features) - 3))
    new = np.concatenate([features * 1.01, [[90, -70, 8, 3]]]).astype("float32")
    nearest, is_known = map(keras.ops.convert_to_numpy, known.recognize(new))
    for row, number, is_of_it in zip(new, nearest, is_known, strict=True):
        distances = [
            np.mean(((row - m) / spread) ** 2) * n / (n + 1)
            for m, n in zip(means, COUNTS.values(), strict=True)
        ]
        assert number == np.argmin(distances)
        assert is_of_it == (min(distances) < statistics.limit)
    assert is_known[:-1].all()
    assert not is_known[-1]
    assert statistics.names == ("bolt", "nut", "washer")


def test_an_image_is_compared_with_the_others_of_its_product():
    features, _, _, names = features_and_scores()
    found, is_new = distances_left_out(appearance_of(features, names), features, names)
    assert is_new.all()
    spreads = appearance_of(features, names).spreads
    for i in (0, 13, 25):
        others = np.arange(len(names)) != i
        left = appearance_of(features[others], names[others])
        place = left.names.index(names[i])
        square = np.mean(((features[i] - left.means[place]) / spreads) ** 2)
        n = left.counts[place]
        assert found[i, place] == pytest.approx(square * n / (n + 1))


def test_scores_are_standardized_by_the_others_of_their_product():
    _, scores, groups, _ = features_and_scores()
    found = scores_left_out(scores, groups, 3)
    for i in (0, 14, 27):
        others = np.arange(len(scores)) != i
        means, spreads = score_moments(scores[others], groups[others], 3)
        expected = (scores[i] - means[groups[i]]) / spreads[groups[i]]
        assert found[i] == pytest.approx(expected)
    alone = scores_left_out(scores[[0, 1, 20]], np.array([0, 0, 2]), 3)
    assert np.isfinite(alone[:2]).all()
    assert math.isnan(alone[2])


@pytest.mark.backend_independent
def test_thresholds_of_few_images_come_from_all_of_them():
    features, scores, groups, names = features_and_scores()
    statistics, thresholds = learn_categories(scores, features, list(names), RATE)
    means, spreads = score_moments(scores, groups, 3)
    rank = math.ceil((len(scores) + 1) * (1 - RATE))
    largest = np.sort(scores_left_out(scores, groups, 3))[rank - 1]
    for number, name in enumerate(COUNTS):
        expected = means[number] + largest * spreads[number]
        assert thresholds[name] == pytest.approx(expected)
    least = distances_left_out(appearance_of(features, names), features, names)[0]
    nearly = np.sort(least.min(axis=1))[rank - 1]
    assert statistics.limit == pytest.approx(UNKNOWN_FACTOR * nearly)


@pytest.mark.backend_independent
def test_predict_says_what_is_shown(model, unlabelled):
    assert model.known_categories == ("bolt", "nut", "washer")
    outputs = model.predict(unlabelled, verbose=0)
    names = names_of(COUNTS)
    assert [model.known_categories[i] for i in outputs["category"]] == names
    assert outputs["category"].dtype == np.int32
    assert outputs["comparable_score"].dtype == np.float32
    known = model.thresholds.known.statistics
    number = outputs["category"]
    expected = (outputs["anomaly_score"] - known.score_means[number]) / (
        known.score_spreads[number]
    )
    np.testing.assert_allclose(outputs["comparable_score"], expected, rtol=1e-4)
    own = np.float32([model.thresholds.of(name) for name in names])
    np.testing.assert_array_equal(
        outputs["is_anomalous"], outputs["anomaly_score"] >= own
    )
    # `call` says no more than before.
    assert set(model(random_images(1))) == {"anomaly_map", "anomaly_score"}


@pytest.mark.backend_independent
def test_what_shows_no_product_is_told(model):
    outputs = model.predict(strange_images(), verbose=0)
    assert (outputs["category"] == -1).all()
    assert outputs["is_anomalous"].all()
    given = [{"image": image, "category": "nut"} for image in strange_images()]
    outputs = model.predict(given, verbose=0)
    assert (outputs["category"] == 1).all()


@pytest.mark.backend_independent
def test_a_given_category_is_believed(model, unlabelled):
    given = [{**element, "category": "washer"} for element in unlabelled]
    outputs = model.predict(given, verbose=0)
    assert (outputs["category"] == 2).all()
    threshold = np.float32(model.thresholds.of("washer"))
    np.testing.assert_array_equal(
        outputs["is_anomalous"], outputs["anomaly_score"] >= threshold
    )


@pytest.mark.backend_independent
def test_files_copies_and_weights_keep_or_lose_it(model, unlabelled, tmp_path):
    expected = model.predict(unlabelled, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    compact = model.compact()
    for other in (loaded, compact):
        assert other.known_categories == model.known_categories
        found = other.predict(unlabelled, verbose=0)
        assert set(found) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)
    loaded.set_weights(loaded.get_weights())
    assert loaded.known_categories == ()
    assert set(loaded.predict(unlabelled[:2], verbose=0)) == {
        "anomaly_map",
        "anomaly_score",
        "is_anomalous",
    }
    model.save_weights(tmp_path / "model.weights.h5")
    loaded.load_weights(tmp_path / "model.weights.h5")
    assert loaded.known_categories == model.known_categories
    loaded.train_on_batch(random_images(4))
    assert loaded.known_categories == ()
    assert loaded.threshold is None


@pytest.mark.backend_independent
def test_calibrating_anew_without_categories_recognizes_them(model, unlabelled):
    copy = model.compact()
    copy.calibrate(unlabelled, false_positive_rate=RATE)
    assert copy.known_categories == model.known_categories
    assert copy.thresholds.by_category != model.thresholds.by_category


@pytest.mark.backend_independent
def test_products_that_calibration_had_no_image_of_are_named():
    model = tiny_model(**ONE_LEVEL)
    model.fit(elements_of(COUNTS, seed=3), epochs=1, verbose=0)
    with pytest.warns(UserWarning, match="trained on bolt, nut too"):
        model.calibrate(elements_of({"washer": 12}), false_positive_rate=RATE)
    assert model.known_categories == ("washer",)


@pytest.mark.backend_independent
def test_products_that_are_not_recognized_in_new_normal_images_are_named(model):
    copy = model.compact()
    washers = elements_of({"bolt": 0, "nut": 0, "washer": 12}, 60, with_category=False)
    bolts = elements_of({"bolt": 6}, seed=61, with_category=False)
    assert not copy.predict(bolts, verbose=0)["is_anomalous"].all()
    message = "recognises washer, but was trained on bolt, nut too"
    with pytest.warns(UserWarning, match=message):
        copy.calibrate(washers, false_positive_rate=RATE)
    # What is warned of.
    assert copy.predict(bolts, verbose=0)["is_anomalous"].all()


@pytest.mark.backend_independent
def test_thresholds_that_are_lost_are_named(model):
    copy = model.compact()
    assert set(copy.thresholds.by_category) == set(COUNTS)
    with pytest.warns(UserWarning, match="of bolt, nut, washer are gone"):
        copy.calibrate(strange_images(20), false_positive_rate=RATE)
    assert copy.thresholds.by_category == {}
    assert copy.known_categories == ()


@pytest.mark.backend_independent
def test_few_images_of_products_that_are_recognized_leave_what_they_look_like(model):
    copy = model.compact()
    known = model.thresholds.known.statistics
    few = elements_of({"bolt": 2, "nut": 2}, seed=62, with_category=False)
    with pytest.warns(UserWarning, match="trained on washer too"):
        copy.calibrate(few, false_positive_rate=0.3)
    found = copy.thresholds.known.statistics
    assert found.names == ("bolt", "nut")
    np.testing.assert_array_equal(found.means, known.means[:2])
    np.testing.assert_array_equal(found.spreads, known.spreads)
    np.testing.assert_array_equal(found.discounts, known.discounts[:2])
    assert found.limit >= known.limit
    scores = model.predict(few, verbose=0)["anomaly_score"]
    means, spreads = score_moments(scores.astype("float64"), np.array([0, 0, 1, 1]), 2)
    np.testing.assert_allclose(found.score_means, means, rtol=1e-4)
    np.testing.assert_allclose(found.score_spreads, spreads, rtol=1e-4)


@pytest.mark.backend_independent
def test_normal_images_that_show_no_product_are_counted():
    model = tiny_model(**ONE_LEVEL)
    unnamed = elements_of({"nut": 9}, with_category=False)
    with pytest.warns(UserWarning, match="9 of 21 normal images, which came without"):
        model.calibrate([*elements_of({"washer": 12}), *unnamed], RATE)
    assert model.predict(unnamed, verbose=0)["is_anomalous"].all()


def test_training_images_say_what_products_look_like():
    """One image held out of each is enough then."""
    model = tiny_model(**ONE_LEVEL)
    held = elements_of({"bolt": 2, "nut": 1, "washer": 1}, seed=70)
    model.calibrate(held, false_positive_rate=0.3, training_images=elements_of(COUNTS))
    assert model.known_categories == ("bolt", "nut", "washer")
    outputs = model.predict(elements_of(COUNTS, 80, with_category=False), verbose=0)
    known = np.array(model.known_categories)
    assert known[outputs["category"]].tolist() == names_of(COUNTS)


@pytest.mark.backend_independent
def test_one_product_alone_is_told_from_others():
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(elements_of({"bolt": 15}), false_positive_rate=RATE)
    assert model.known_categories == ("bolt",)
    outputs = model.predict(strange_images(), verbose=0)
    assert (outputs["category"] == -1).all()
    new = images_of(COLOURS["bolt"], 10, seed=90, spread=15)
    assert (model.predict(new, verbose=0)["category"] == 0).all()


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            [
                {"image": image, "category": "ab"[i % 2]}
                for i, image in enumerate(random_images(20))
            ],
            "products can't be told apart",
        ),
        (elements_of(dict.fromkeys(COLOURS, 1)), "too few normal images of each of 3"),
    ],
    ids=["alike", "too few"],
)
def test_what_can_not_be_told_is_said(images, message):
    model = tiny_model(**ONE_LEVEL)
    with pytest.warns(UserWarning, match=message):
        threshold = model.calibrate(images, false_positive_rate=0.3)
    assert model.known_categories == ()
    assert model.threshold == threshold
    outputs = model.predict(random_images(2), verbose=0)
    assert set(outputs) == {"anomaly_map", "anomaly_score", "is_anomalous"}
