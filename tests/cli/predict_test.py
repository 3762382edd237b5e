"""`keras-rlr predict`: scores, overlays, regions and maps, and what they go by."""

import csv
import json
import shutil
import signal
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

import keras_rlr
from keras_rlr.cli.calibrate import products_in_words
from keras_rlr.datasets import FolderDataset, read_image
from tests.fresh_process import start_command
from tests.products import elements_of
from tests.run_command import run
from tests.tiny_model import ONE_LEVEL, tiny_model

pytestmark = pytest.mark.backend_independent


def test_predict_writes_scores_and_overlays(small_run, products, tmp_path):
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    shutil.copy(products / "gear" / "test" / "good" / "000.png", images / "a.png")
    large = np.random.default_rng(0).integers(0, 256, (700, 900, 3), "uint8")
    Image.fromarray(large).save(images / "sub" / "large.jpg")
    (images / "sub" / "broken.png").write_bytes(b"no image")
    output = tmp_path / "predictions"
    result = run("predict", images, "--model", small_run[-1], "--output", output)
    assert result.exit_code == 0, result.stderr
    assert "1 of 3 images could not be read" in result.stderr
    with (output / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["a.png", "sub/broken.png", "sub/large.jpg"]
    model = keras.saving.load_model(small_run[-1] / "model.keras")
    expected = model.predict([read_image(images / "sub" / "large.jpg")], verbose=0)
    assert float(rows[2]["anomaly_score"]) == pytest.approx(
        float(expected["anomaly_score"][0]), rel=1e-5
    )
    assert rows[2]["is_anomalous"] == str(bool(expected["is_anomalous"][0])).lower()
    assert rows[1]["error"] and not rows[1]["anomaly_score"]
    assert Image.open(output / "overlays" / "sub" / "large.png").size[1] == 398
    assert (output / "overlays" / "a.png").exists()


def test_predict_writes_regions_and_maps(small_run, products, tmp_path):
    folder = shutil.copytree(small_run[-1], tmp_path / "run")
    images = tmp_path / "images"
    images.mkdir()
    # By the threshold of all products, because no folder is called like one.
    good, bad = (
        sorted((products / "gear" / "test").glob(p))[0] for p in ("good/*", "[!g]*/*")
    )
    for name, file in (("good.png", good), ("bad.png", bad)):
        Image.open(file).resize((150, 100)).save(images / name)
    output = tmp_path / "predictions"
    words = ("predict", images, "--model", folder, "--output", output, "--regions")
    model = keras.saving.load_model(folder / "model.keras")
    maps = model.predict(
        [read_image(images / name) for name in ("bad.png", "good.png")],
        verbose=0,
        original_size=True,
    )["anomaly_map"]
    # Whatever its few normal images gave, the worst pixels are above this.
    threshold = float(np.quantile(maps[0], 0.9))
    model.thresholds.pixels = type(model.thresholds.pixels)(threshold)
    model.save(folder / "model.keras")
    result = run(*words, "--maps", "tiff")
    assert result.exit_code == 0, result.stderr
    found = json.loads((output / "regions.json").read_text())
    expected = [keras_rlr.regions(values, threshold) for values in maps]
    counts = [len(regions) for regions in expected]
    assert f"Regions: {sum(counts)} in {np.count_nonzero(counts)} images, in " in (
        result.stdout
    )
    assert "Values of a map are offset + scale * pixel" in result.stdout
    assert [image["width"] for image in found["images"]] == [150, 150]
    areas = [region.area for regions in expected for region in regions]
    assert [each["area"] for each in found["annotations"]] == areas and sum(areas) > 900
    result = run(*words, "--maps", "npy", "--json")
    assert [row["regions"] for row in json.loads(result.stdout)["scores"]] == counts
    stored = np.load(output / "anomaly_maps" / "bad.npy")
    np.testing.assert_allclose(stored, maps[0], rtol=1e-4)
    # As of a file of an earlier version.
    model.thresholds.pixels = type(model.thresholds.pixels)()
    model.save(folder / "model.keras")
    result = run(*words)
    assert result.exit_code == 0
    assert "earlier version and has no pixel threshold" in result.stderr
    model.thresholds.forget()
    model.save(folder / "model.keras")
    result = run(*words[:-2], tmp_path / "new", "--regions")
    assert result.exit_code == 2 and not (tmp_path / "new").exists()
    assert "The model has no threshold, so there is nothing to say" in result.stderr


def test_predict_decides_as_evaluate_does(small_run, products, tmp_path):
    folder = shutil.copytree(small_run[-1], tmp_path / "run")
    model = keras.saving.load_model(folder / "model.keras")
    test = FolderDataset(products, "test")
    scores = model.predict(test, verbose=0)["anomaly_score"]
    # Thresholds of their own that split each category's images, and no other's.
    middle = {
        name: float(np.median(scores[[s.category == name for s in test.samples]]))
        for name in test.categories
    }
    model.thresholds.threshold_weight.assign(1e9)
    model.thresholds._by_category = tuple(middle.items())
    model.save(folder / "model.keras")
    result = run(
        "evaluate", "--data", products, "--model", folder, "--output", tmp_path
    )
    assert result.exit_code == 0, result.stderr
    counts = json.loads((tmp_path / "metrics.json").read_text())["confusion"]
    called = {n: c["true_positive"] + c["false_positive"] for n, c in counts.items()}
    output = tmp_path / "predictions"
    found = json.loads(
        run("predict", products, "--model", folder, "--output", output, "--json").stdout
    )
    decided = dict.fromkeys(middle, 0)
    for row in found["scores"]:
        if "/test/" in row["path"]:
            decided[row["category"]] += row["is_anomalous"]
    assert decided == called and set(called.values()) == {3}
    # Where no folder is called so, the category can be named.
    shutil.copytree(products / "gear" / "test", tmp_path / "photographs")
    arguments = ("predict", tmp_path / "photographs", "--model", folder)
    result = run(*arguments, "--output", output, "--category", "gear")
    assert "Images of gear scored: 6; anomalous" in result.stdout
    assert result.stdout.split("): ")[1].startswith("3.")
    result = run(*arguments, "--output", output)
    assert "Images scored: 6; anomalous (score at least 1e+09): 0." in result.stdout
    result = run(*arguments, "--output", output, "--category", "screw")
    assert result.exit_code == 2
    assert "knows no category 'screw'. It knows: gear, wood." in result.stderr
    model.thresholds._by_category = (("gear", middle["gear"]),)
    model.save(folder / "model.keras")
    result = run(*arguments, "--output", output, "--category", "wood")
    assert result.exit_code == 0 and "no threshold of 'wood'" in result.stderr


def test_a_category_without_a_threshold_is_decided_as_is_said(tmp_path):
    model = tiny_model(**ONE_LEVEL)
    counts = {"bolt": 12, "nut": 10}
    model.trained_categories = (*counts, "screw", "washer")
    shown = elements_of({**counts, "washer": 8}, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.calibrate(elements_of(counts), 0.1, training_images=shown)
    assert products_in_words(model).endswith(" product, of washer by that of all.")
    model.save(tmp_path / "model.keras")
    images = tmp_path / "images"
    images.mkdir()
    for i, element in enumerate(elements_of({"bolt": 3}, 2)):
        Image.fromarray(element["image"]).save(images / f"{i}.png")
    words = ("predict", images, "--model", tmp_path / "model.keras", "--json")
    by_bolt = float(model.thresholds.of("bolt"))
    for name, said, category in (
        ("washer", "of all categories together decides", "washer"),
        ("screw", "of the product recognised in each image decides", "bolt"),
    ):
        result = run(*words, "--output", tmp_path / name, "--category", name)
        assert result.exit_code == 0 and said in result.stderr
        threshold = model.threshold if category == "washer" else by_bolt
        for row in json.loads(result.stdout)["scores"]:
            assert row["category"] == category
            assert row["is_anomalous"] == (row["anomaly_score"] >= threshold)
    result = run(*words, "--output", tmp_path / "none", "--category", "gear")
    assert result.exit_code == 2 and "bolt, nut, screw, washer" in result.stderr


def test_predict_that_is_terminated_keeps_what_was_done(small_run, products, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    source = products / "gear" / "test" / "good" / "000.png"
    for i in range(3000):
        (images / f"{i:04}.png").symlink_to(source)
    output = tmp_path / "predictions"
    words = ("predict", images, "--model", small_run[-1], "--output", output)
    process = start_command(*words)
    process.wait_for(lambda: any(output.glob("overlays/*")))
    process.send_signal(signal.SIGTERM)
    done = process.wait()
    assert done.returncode == 143
    assert "What was done is in" in done.stderr and "Traceback" not in done.stderr
    with (output / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert 0 < len(rows) < 3000
    assert all(float(row["anomaly_score"]) > 0 for row in rows)


def test_predict_fails_when_every_image_does(small_run, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    output = tmp_path / "predictions"
    arguments = ("predict", tmp_path / "broken.png", "--model", small_run[-1])
    result = run(*arguments, "--output", output, "--json")
    assert result.exit_code == 1
    summary = json.loads(result.stdout)
    assert (summary["images"], summary["failed"]) == (1, 1)
    assert summary["scores"][0]["anomaly_score"] is None
