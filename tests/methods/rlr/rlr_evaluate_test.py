"""`RLR.evaluate`, and thresholds."""

import math

import keras
import numpy as np
import pytest

from keras_rlr.metrics import functional, pixel_bins
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, random_images, tiny_model

KEYS = [
    *("loss", "image_auroc", "image_ap", "image_f1_max"),
    *("pixel_auroc", "pixel_ap", "pixel_f1_max", "pixel_aupro"),
]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def data():
    images = random_images(37, seed=1)
    labels = np.arange(37) % 3 == 0
    masks = np.zeros((37, IMAGE_SIZE, IMAGE_SIZE), "uint8")
    masks[labels, 4:12, 6:20] = 255
    return {"image": images, "label": labels.astype("int64"), "mask": masks}


def expected(model, data):
    output = model.predict(data["image"], verbose=0)
    return {
        **functional.image_figures(data["label"], output["anomaly_score"]),
        **functional.pixel_figures(data["mask"] > 0, output["anomaly_map"]),
    }


@pytest.mark.backend_independent
def test_the_figures_are_those_of_predict(model, data):
    results = model.evaluate(data, batch_size=5, verbose=0, return_dict=True)
    assert list(results) == KEYS
    figures = expected(model, data)
    assert {k: results[k] for k in figures} == pytest.approx(figures, abs=1e-5)
    as_list = model.evaluate(data, batch_size=5, verbose=0)
    assert as_list == list(results.values())


@pytest.mark.backend_independent
def test_counted_in_bins_they_differ_little(model, data):
    exact = model.evaluate(data, verbose=0, return_dict=True, exact=True)
    counted = model.evaluate(data, verbose=0, return_dict=True, exact=False)
    assert list(counted) == KEYS
    assert counted == pytest.approx(exact, abs=2e-3)
    assert counted != exact
    for key in KEYS[:4]:
        assert counted[key] == pytest.approx(exact[key], abs=1e-6)


@pytest.mark.backend_independent
def test_many_maps_are_counted_unless_asked_otherwise(model, data, monkeypatch):
    exact = model.evaluate(data, batch_size=4, verbose=0, return_dict=True)
    counted = model.evaluate(
        data, batch_size=4, verbose=0, return_dict=True, exact=False
    )
    monkeypatch.setattr(pixel_bins, "MOST_EXACT_PIXELS", 20 * IMAGE_SIZE**2)
    arguments = {"batch_size": 4, "verbose": 0, "return_dict": True}
    assert model.evaluate(data, **arguments) == pytest.approx(counted, abs=1e-9)
    assert model.evaluate(data, **arguments, exact=True) == pytest.approx(
        exact, abs=1e-6
    )


@pytest.mark.backend_independent
def test_elements_of_any_size_and_a_stream_of_unknown_length(model, data):
    generator = np.random.default_rng(0)
    elements = [
        {
            "image": random_images(1, 40 + i % 3, 50, seed=i)[0],
            "label": i % 2,
            "mask": (generator.random((40 + i % 3, 50)) < 0.1) * (i % 2),
        }
        for i in range(11)
    ]

    class Stream(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            part = elements[4 * index : 4 * index + 4]
            return {key: [e[key] for e in part] for key in part[0]}

    first = model.evaluate(elements, batch_size=4, verbose=0, return_dict=True)
    second = model.evaluate(Stream(), verbose=0, return_dict=True)
    assert first == pytest.approx(second, abs=1e-5)
    assert not math.isnan(first["pixel_aupro"])


@pytest.mark.backend_independent
def test_without_labels_there_is_the_loss_alone(model, data):
    results = model.evaluate(data["image"], verbose=0, return_dict=True)
    assert list(results) == ["loss"]


@pytest.mark.backend_independent
def test_no_images(model):
    with pytest.raises(ValueError, match="no images, so there is nothing to evaluate"):
        model.evaluate([], verbose=0)


def elements_of(categories):
    images = random_images(len(categories), seed=5)
    return [
        {"image": image, "category": name}
        for image, name in zip(images, categories, strict=True)
    ]


@pytest.mark.backend_independent
def test_categories_have_thresholds_of_their_own(tmp_path):
    model = tiny_model(**ONE_LEVEL)
    normal = elements_of(["a"] * 12 + ["b"] * 15 + ["c"] * 4)
    with pytest.warns(UserWarning, match="There are fewer of c: the"):
        threshold = model.calibrate(normal, false_positive_rate=0.1)
    scores = model.predict(normal, verbose=0)["anomaly_score"]

    def conformal(values):
        rank = math.ceil(round((len(values) + 1) * 0.9, 9))
        return 1.0001 * float(np.sort(values)[rank - 1])

    own = {"a": conformal(scores[:12]), "b": conformal(scores[12:27])}
    assert model.thresholds.by_category == pytest.approx(own)
    assert threshold == model.threshold == pytest.approx(conformal(scores))
    output = model.predict(normal, verbose=0)
    levels = np.array([own["a"]] * 12 + [own["b"]] * 15 + [threshold] * 4, "float32")
    np.testing.assert_array_equal(output["is_anomalous"], scores >= levels)
    plain = model.predict([e["image"] for e in normal], verbose=0)
    np.testing.assert_array_equal(
        plain["is_anomalous"], scores >= np.float32(threshold)
    )

    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.thresholds.by_category == model.thresholds.by_category
    assert again.threshold == model.threshold

    model.fit(random_images(4), epochs=1, verbose=0)
    assert model.threshold is None
    assert model.thresholds.by_category == {}
    assert "is_anomalous" not in model.predict(normal, verbose=0)


@pytest.mark.backend_independent
def test_an_array_of_categories_is_understood(model):
    images = random_images(40, seed=6)
    names = np.array(["x", "y"] * 20)
    model.calibrate({"image": images, "category": names}, false_positive_rate=0.1)
    assert sorted(model.thresholds.by_category) == ["x", "y"]
    model.thresholds.forget()


@pytest.mark.backend_independent
def test_thresholds_are_not_taken_from_anomalous_images(model, data):
    with pytest.raises(ValueError, match=r"Element 0 of the data is anomalous .* thre"):
        model.calibrate(data, false_positive_rate=0.3)
    assert model.threshold is None
