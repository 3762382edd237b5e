"""Pixel thresholds of products, against what `keras-rlr predict --regions` writes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_rlr
from tests.run_command import run
from tests.tiny_model import tiny_backbone

pytestmark = pytest.mark.backend_independent

PAGE = Path(__file__).parents[2] / "docs" / "regions.md"


def pictures(count, spread, seed):
    """Images of a product: grey, and as rough as `spread` says."""
    noise = np.random.default_rng(seed).normal(size=(count, 32, 32, 3))
    return np.clip(128 + spread * noise, 0, 255).astype("uint8")


@pytest.fixture(scope="module")
def model():
    model = keras_rlr.PaDiM(
        backbone=tiny_backbone(), levels=(1, 2), image_size=32, seed=0
    )
    elements = [
        {"image": image, "category": name}
        for name, spread in (("smooth", 4), ("rough", 60))
        for image in pictures(16, spread, seed=spread)
    ]
    model.fit(elements[::2], verbose=0)
    model.calibrate(elements[1::2], 0.25, training_images=elements[::2])
    assert model.known_categories == ("rough", "smooth")
    return model


def test_the_example_of_the_page_finds_the_regions_of_the_command(model, tmp_path):
    # Spots that make a stranger of the last image of each.
    images = np.concatenate([pictures(3, 4, 1), pictures(3, 60, 2)])
    images[1::3, 8:12, 8:12] = 200
    images[2::3, 4:28, 4:28] = 255
    (tmp_path / "images").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "images" / f"{i}.png")
    model.save(tmp_path / "model.keras")
    result = run(
        "predict", tmp_path / "images", "--model", tmp_path / "model.keras",
        "--output", tmp_path / "out", "--regions",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    facts = json.loads((tmp_path / "out" / "regions.json").read_text())
    expected = [(each["bbox"], each["area"]) for each in facts["annotations"]]
    products = [image["product"] for image in facts["images"]]
    assert {"rough", "smooth", None} == set(products), products
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    printed = []
    names = {"keras_rlr": keras_rlr, "model": model, "images": images}
    exec(code, {**names, "print": lambda *values: printed.append(values)})
    assert [(list(box), area) for box, area, *_ in printed] == expected != []
    # That of all products together would give others.
    maps = model.predict(images, verbose=0)["anomaly_map"]
    of_all = [r for m in maps for r in keras_rlr.regions(m, model.pixel_threshold)]
    assert [(list(region.box), region.area) for region in of_all] != expected


def test_names_numbers_and_none(model):
    own = dict(model.thresholds.pixels.by_category)
    assert len({*own.values(), model.pixel_threshold}) == 3
    for number, name in enumerate(model.known_categories):
        for category in (name, number, np.int32(number)):
            assert model.pixel_threshold_of(category) == own[name]
    for category in (None, -1, np.int32(-1)):
        assert model.pixel_threshold_of(category) == model.pixel_threshold


@pytest.mark.parametrize("category", ["screw", 2, -2, 0.5, np.arange(2)])
def test_other_categories_are_refused(model, category):
    with pytest.raises(ValueError, match="category|rough, smooth"):
        model.pixel_threshold_of(category)
