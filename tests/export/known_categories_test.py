"""Exports recognise products as their model does, and decide alike."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from keras_rlr import PatchCore
from keras_rlr.app import score_files
from keras_rlr.datasets.procedural.png_file import write_png
from keras_rlr.evaluation.predict_images import predict_images
from keras_rlr.export.sample_images import one_tile_each
from keras_rlr.tiling import Tiling
from tests.export.run_alone import assert_same, run_alone
from tests.export.saved_model_test import png
from tests.products import elements_of, strange_images
from tests.tiny_model import (
    IMAGE_SIZE,
    ONE_LEVEL,
    random_images,
    tiny_backbone,
    tiny_model,
)

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]

COUNTS = {"bolt": 12, "nut": 9, "washer": 7}
SUFFIXES = {"litert": ".tflite", "onnx": ".onnx", "openvino": ".xml"}


@pytest.fixture(scope="module")
def model():
    model = tiny_model(**ONE_LEVEL)
    # What shows another product is looked at whole.
    model.region_of_interest = {"bolt": (0, 0, 0.5, 1), "washer": (0, 0.5, 1, 0.5)}
    model.calibrate(elements_of(COUNTS), false_positive_rate=0.2)
    return model


@pytest.fixture(scope="module")
def images():
    new = elements_of(COUNTS, seed=50, with_category=False)
    return np.stack([*(e["image"] for e in new), *strange_images()])


@pytest.mark.parametrize("format", ["saved_model", *SUFFIXES])
def test_every_format_decides_as_the_model(format, model, images, tmp_path):
    path = tmp_path / f"it{SUFFIXES.get(format, '')}"
    manifest = model.export(path, format=format, images=images)
    (result, *_) = manifest["comparison"].values()
    assert result["categories_changed"] == 0
    names = [entry["name"] for entry in manifest["known_categories"]]
    assert names == list(model.known_categories)
    assert manifest["pixel_threshold"] == model.pixel_threshold > 0
    assert sorted(manifest["category_pixel_thresholds"]) == names
    assert {"category", "comparable_score"} < set(manifest["outputs"])
    # Alone, and in a batch.
    batches = np.split(images.astype("float32"), [1])
    found = run_alone(format, path, batches, tmp_path)
    expected = model.predict(images, verbose=0)
    assert len(set(expected["is_anomalous"][:-2])) == 2
    assert_same(found, expected)
    half = IMAGE_SIZE // 2
    for i, category in enumerate(found["category"]):
        right, upper = found["anomaly_map"][i, :, half:], found["anomaly_map"][i, :half]
        assert (np.ptp(right) == 0) == (category == 0)
        assert (np.ptp(upper) == 0) == (category == 2)


def test_served_bytes_say_that_a_product_is_unknown(model, images, tmp_path):
    model.export(tmp_path / "1")
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    files = [png(images[0]), b"no image", png(images[-1])]
    found = loaded.signatures["serve_bytes"](image_bytes=tf.constant(files))
    assert found["status"].numpy().tolist() == [0, 1, 4]
    assert found["category"].numpy().tolist() == [0, -1, -1]
    assert found["is_anomalous"].numpy()[1:].all()
    assert np.isnan(found["comparable_score"].numpy()[1])
    assert np.isfinite(found["anomaly_score"].numpy()[2])
    info = loaded.signatures["info"](request=tf.constant([""]))
    names = [name.decode() for name in info["known_categories"].numpy()[0]]
    assert names == list(model.known_categories)
    text = (tmp_path / "1" / "manifest.json").read_text("utf-8")
    assert (
        "status: 0 scored"
        in json.loads(text)["inputs"]["serve_bytes"]["image_bytes"]["values"]
    )


def test_a_name_that_is_no_utf_8_is_exported(model, tmp_path):
    """As a folder's may be."""
    strange = b"nut\xff".decode("utf-8", "surrogateescape")
    elements = [
        {**each, "category": strange if each["category"] == "nut" else "bolt"}
        for each in elements_of({"bolt": 12, "nut": 10})
    ]
    other = tiny_model(**ONE_LEVEL)
    other.calibrate(elements, false_positive_rate=0.2)
    assert strange in other.known_categories
    other.export(tmp_path / "1")
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    info = signatures["info"](request=tf.constant([""]))
    assert info["known_categories"].numpy()[0].tolist() == [b"bolt", b"nut\xff"]
    own = np.float32(other.thresholds.of(strange))
    found = signatures["decide"](
        anomaly_score=tf.constant([own]), category=tf.constant([b"nut\xff"])
    )
    assert found["threshold"].numpy() == own
    # And as tensors bring it.
    given = [{**each, "category": b"nut\xff"} for each in elements[:1]]
    number = other.predict(given, verbose=0)["category"]
    assert [other.known_categories[i] for i in number] == [strange]


def test_the_command_and_the_page_decide_as_the_model(model, images, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(images):
        write_png(folder / f"{i:03}.png", image)
    expected = model.predict(images, verbose=0)
    rows = predict_images(model, folder, tmp_path / "found")
    known = np.array([*model.known_categories, None], object)
    names = known[expected["category"]].tolist()
    assert [row.category for row in rows] == names
    assert [row.is_known_category for row in rows] == [
        name is not None for name in names
    ]
    assert [row.is_anomalous for row in rows] == expected["is_anomalous"].tolist()
    lines = (tmp_path / "found" / "scores.csv").read_text("utf-8").splitlines()
    assert lines[0].endswith("error,category,comparable_score,brightness,sharpness")
    assert ",(unknown)," in lines[-1]
    paths = sorted(str(path) for path in folder.iterdir())
    flags = [
        image.decision().startswith("anomalous") for image in score_files(model, paths)
    ]
    assert flags == expected["is_anomalous"].tolist()


def test_an_export_of_one_tile_recognises_no_product(model, images, tmp_path):
    of_tiles = PatchCore(
        tiny_backbone(), levels=(1,), image_size=IMAGE_SIZE, tiles=(17, 1), seed=0
    )
    # Its tiles look like no whole image.
    whole = np.concatenate([images[:8], random_images(8)], axis=1)
    of_tiles.fit(whole, verbose=0)
    elements = [{"image": image, "category": "bolt"} for image in whole]
    of_tiles.calibrate(elements, false_positive_rate=0.2)
    assert of_tiles.known_categories == ("bolt",)
    with pytest.warns(UserWarning, match="Products are recognised by the whole image"):
        manifest = of_tiles.export(tmp_path / "it.tflite", format="litert")
    assert manifest["known_categories"] == []
    assert manifest["category_thresholds"] == of_tiles.thresholds.by_category
    tiling = manifest["tiling"]
    assert tuple(tiling["whole_size"]) == of_tiles.map_size
    fields = {f.name: tiling[f.name] for f in dataclasses.fields(Tiling)}
    fields["overlaps"] = tuple(fields["overlaps"])
    assert Tiling(**fields) == of_tiles.tiling
    places = [
        (i * (tiling["height"] - tiling["overlaps"][0]), 0)
        for i in range(tiling["rows"])
    ]
    assert places == of_tiles.tiling.corners
    tiles = one_tile_each(list(whole), of_tiles.tiling)
    found = run_alone("litert", tmp_path / "it.tflite", [np.float32(tiles)], tmp_path)
    assert set(found) == set(manifest["outputs"])
    reached = found["anomaly_score"] >= np.float32(of_tiles.threshold)
    np.testing.assert_array_equal(found["is_anomalous"], reached)
    assert not reached.all()
