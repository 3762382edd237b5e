"""Files of regions and maps that `predict` writes, read by others' readers."""

import csv
import json
import os
import warnings

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from keras_rlr.datasets import read_image
from keras_rlr.detectors.pixel_thresholds import PixelThresholds
from keras_rlr.evaluation import predict_images as module
from keras_rlr.evaluation.predict_images import predict_images
from tests.evaluation.stand_in_model import StandInModel

pytestmark = pytest.mark.backend_independent


def model_of(threshold=1.0, by_category=(), kind=StandInModel, size=64):
    model = kind(size, 1.0, {"gear": 1.0, "wood": 1.0})
    model.thresholds.pixels = PixelThresholds(threshold, tuple(by_category))
    return model


def write_image(path, spots, size=(90, 60)):
    """An image with bright rectangles (x, y, width, height, value) on black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size[::-1], 3), "uint8")
    for x, y, width, height, value in spots:
        pixels[y : y + height, x : x + width] = value
    Image.fromarray(pixels).save(path)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    write_image(folder / "a.png", [(10, 20, 30, 12, 200), (60, 40, 20, 15, 250)])
    ring = [(10, 5, 50, 45, 200), (25, 18, 20, 20, 0)]
    write_image(folder / "sub" / "ring.png", ring)
    write_image(folder / "sub" / "quiet.jpg", [], (64, 128))
    (folder / "sub" / "broken.png").write_bytes(b"no image")
    return folder


def expected_map(path, side=64):
    """The stand-in's map at its image's size, enlarged by Pillow."""
    pixels = read_image(path)[..., :1].repeat(3, -1)
    image = Image.fromarray(pixels).convert("F")
    square = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)) / 100
    enlarged = Image.fromarray(square.astype("float32"))
    return np.asarray(enlarged.resize(image.size, Image.Resampling.BILINEAR))


def read_json(output):
    return json.loads((output / "regions.json").read_text("utf-8"))


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))


def test_a_coco_reader_finds_the_pixels_of_the_masks(tmp_path, images):
    output = tmp_path / "output"
    rows = predict_images(model_of(), images, output, regions=True)
    coco = COCO(output / "regions.json")
    assert coco.getCatIds(["anomaly"]) == [1]
    names = {image["file_name"]: image for image in coco.loadImgs(coco.getImgIds())}
    assert sorted(names) == ["a.png", "sub/quiet.jpg", "sub/ring.png"]
    assert [row.regions for row in rows] == [2, None, 0, 1]
    for name, image in names.items():
        path = images / name
        assert (image["height"], image["width"]) == read_image(path).shape[:2]
        mask = np.asarray(Image.open((output / "region_masks" / name)
                                     .with_suffix(".png")))  # fmt: skip
        assert mask.shape == (image["height"], image["width"])
        assert mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 255}
        values = expected_map(path)
        sure = abs(values - 1.0) > 1e-4
        np.testing.assert_array_equal((mask == 255)[sure], (values >= 1.0)[sure])
        annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert sum(found["area"] for found in annotations) == (mask == 255).sum()
        filled = np.zeros(mask.shape, int)
        for found in annotations:
            drawn = coco.annToMask(found)
            assert drawn.sum() == found["area"] + found["hole_area"]
            rows_of, columns = np.nonzero(drawn)
            x, y, width, height = found["bbox"]
            assert (x, y) == (columns.min(), rows_of.min())
            assert (x + width, y + height) == (columns.max() + 1, rows_of.max() + 1)
            assert found["score"] == pytest.approx(values[drawn > 0].max(), abs=1e-4)
            assert found["iscrowd"] == 0
            filled += drawn
        # In holes there is more; elsewhere nothing is missing.
        assert (filled[mask == 255] == 1).all()
        assert (filled > 0).sum() == (mask == 255).sum() + sum(
            found["hole_area"] for found in annotations
        )
    (ring,) = coco.loadAnns(coco.getAnnIds(names["sub/ring.png"]["id"]))
    assert ring["hole_area"] > 200


def test_results_of_coco_evaluation_can_be_loaded(tmp_path, images):
    predict_images(model_of(), images, tmp_path / "output", regions=True)
    coco = COCO(tmp_path / "output" / "regions.json")
    results = [
        {key: found[key] for key in ("image_id", "category_id", "bbox", "score")}
        for found in coco.dataset["annotations"]
    ]
    assert len(coco.loadRes(results).getAnnIds()) == len(results) == 3


def test_files_mirror_the_tree_as_overlays_do(tmp_path, images):
    output = tmp_path / "output"
    write_image(images / "a.jpg", [])
    predict_images(model_of(), images, output, regions=True, maps="npy")
    overlays = files_in(output / "overlays")
    assert overlays == ["a.jpg.png", "a.png", "sub/quiet.png", "sub/ring.png"] or (
        overlays == ["a.png", "a.png.png", "sub/quiet.png", "sub/ring.png"]
    )
    assert files_in(output / "region_masks") == overlays
    maps = [name.removesuffix(".png") + ".npy" for name in overlays]
    assert files_in(output / "anomaly_maps") == maps
    # Nothing of them is taken for an image by a run on the folder of all.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Left out of")
        count = len(predict_images(model_of(), tmp_path, output, regions=True))
    assert count == 5


@pytest.mark.parametrize("kind", ["npy", "tiff"])
@pytest.mark.parametrize("threshold", [None, 1.0])
def test_maps_are_the_models_at_the_images_sizes(tmp_path, images, kind, threshold):
    output = tmp_path / "output"
    model = StandInModel(64, threshold)
    predict_images(model, images, output, batch_size=2, maps=kind)
    assert not (output / "regions.json").exists()
    folder = output / "anomaly_maps"
    scales = {}
    if kind == "tiff":
        with (folder / "scales.csv").open(encoding="utf-8", newline="") as file:
            scales = {row["path"]: row for row in csv.DictReader(file)}
        assert len(scales) == 3
    for name in ("a.png", "sub/quiet.jpg", "sub/ring.png"):
        path = (folder / name).with_suffix(f".{kind}")
        expected = expected_map(images / name)
        if kind == "npy":
            found = np.load(path)
            assert found.dtype == np.float32
            step = 0
        else:
            with Image.open(path) as picture:
                assert picture.mode == "I;16"
                pixels, words = np.asarray(picture), picture.tag_v2[270]
            offset, step = (float(scales[name][key]) for key in ("offset", "scale"))
            assert json.loads(words) == {"offset": offset, "scale": step}
            assert pixels.dtype == np.uint16
            assert pixels.max() == (65535 if expected.any() else 0)
            found = offset + step * pixels
        assert found.shape == read_image(images / name).shape[:2]
        np.testing.assert_allclose(found, expected, atol=2e-4 + step)


def test_the_threshold_is_that_of_the_category(tmp_path):
    spot = [(10, 10, 30, 30, 150)]
    for folder in ("gear", "wood", "other"):
        write_image(tmp_path / "images" / folder / "a.png", spot)
    model = model_of(1.2, [("gear", 2.0), ("wood", 0.5)])
    rows = predict_images(model, tmp_path / "images", tmp_path / "out", regions=True)
    assert {row.path: row.regions for row in rows} == {
        "gear/a.png": 0,
        "other/a.png": 1,
        "wood/a.png": 1,
    }
    images = {
        image["file_name"]: image for image in read_json(tmp_path / "out")["images"]
    }
    assert [images[row.path]["threshold"] for row in rows] == [2.0, 1.2, 0.5]
    assert [images[row.path]["product"] for row in rows] == ["gear", None, "wood"]
    assert [images[row.path]["is_anomalous"] for row in rows] == [True] * 3
    areas = [a["area"] for a in read_json(tmp_path / "out")["annotations"]]
    assert areas[0] < areas[1]


class OtherScores(StandInModel):
    """Scores in units of their own: a tenth of what maps are in."""

    def infer_resized(self, images):
        outputs = super().infer_resized(images)
        return {**outputs, "anomaly_score": outputs["anomaly_score"] / 10}


@pytest.mark.parametrize("kind", [StandInModel, OtherScores])
def test_without_a_pixel_threshold_exactly_anomalous_images_have_regions(
    tmp_path, kind
):
    for i in range(6):
        size = (10, 10, 40, 30, 40 * i)
        write_image(tmp_path / "images" / f"{i}.png", [size])
    model = kind(64, 1.0 if kind is StandInModel else 0.1)
    with pytest.warns(UserWarning, match="no pixel threshold: regions are where the"):
        rows = predict_images(
            model, tmp_path / "images", tmp_path / "out", regions=True
        )
    assert [bool(row.regions) for row in rows] == [row.is_anomalous for row in rows]
    assert any(row.regions for row in rows) and not all(row.regions for row in rows)
    found = read_json(tmp_path / "out")
    assert found["info"]["threshold_of"] == "scores of images"
    scores = {row.path: row.anomaly_score for row in rows}
    best = max(found["annotations"], key=lambda each: each["score"])
    assert best["score"] == pytest.approx(max(scores.values()), rel=1e-3)


def test_without_any_threshold_regions_are_refused_before_anything_is_written(
    tmp_path, images
):
    with pytest.raises(ValueError, match="no threshold, so there is nothing to say"):
        predict_images(StandInModel(16), images, tmp_path / "output", regions=True)
    with pytest.raises(ValueError, match="Maps are written as npy or tiff"):
        predict_images(StandInModel(16), images, tmp_path / "output", maps="png")
    assert not (tmp_path / "output").exists()


class Stopping(StandInModel):
    """Is interrupted in its third batch."""

    def infer_resized(self, images):
        if len(self.batches) == 2:
            raise KeyboardInterrupt
        return super().infer_resized(images)


def test_an_interruption_keeps_what_was_done(tmp_path):
    for i in range(7):
        write_image(tmp_path / "images" / f"{i}.png", [(10, 10, 30, 30, 200)])
    output = tmp_path / "output"
    output.mkdir()
    (output / "regions.json").write_text("of an earlier run")
    with pytest.raises(KeyboardInterrupt):
        model = model_of(kind=Stopping)
        predict_images(model, tmp_path / "images", output, 2, regions=True, maps="tiff")
    found = read_json(output)
    assert [image["file_name"] for image in found["images"]] == [
        "0.png", "1.png", "2.png", "3.png"
    ]  # fmt: skip
    assert len(found["annotations"]) == 4
    assert len((output / "anomaly_maps/scales.csv").read_text().splitlines()) == 5
    assert [path.name for path in output.rglob(".*")] == [".keras_rlr_predict.json"]


def test_files_are_on_disk_and_whole_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_WRITES", -1)
    monkeypatch.setattr(module, "_PAUSE", 0)
    for i in range(5):
        write_image(tmp_path / "images" / f"{i}.png", [(10, 10, 30, 30, 200)])
    seen = []
    predict_images(
        model_of(), tmp_path / "images", tmp_path / "out", batch_size=2, regions=True,
        on_progress=lambda *_: seen.append(len(read_json(tmp_path / "out")["images"])),
    )  # fmt: skip
    # What is known of a batch is written with the next one's scores, or at the end.
    assert seen == [0, 2, 4]
    assert len(read_json(tmp_path / "out")["images"]) == 5


def test_names_that_are_no_utf_8(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_image(tmp_path / "images" / "plain.png", [(10, 10, 30, 30, 200)])
    os.rename(tmp_path / "images" / "plain.png", tmp_path / "images" / name)
    predict_images(
        model_of(), tmp_path / "images", tmp_path / "out", regions=True, maps="tiff"
    )
    assert read_json(tmp_path / "out")["images"][0]["file_name"] == name
