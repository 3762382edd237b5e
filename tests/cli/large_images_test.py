"""Images above Pillow's limit: refused, with the option that reads them."""

import csv

import pytest
from PIL import Image

from tests.run_command import run
from tests.tiny_model import random_images, tiny_model

pytestmark = pytest.mark.backend_independent

READERS = (
    *("predict", "evaluate", "train", "calibrate", "app", "export"),
    *("decoder train", "benchmark tables"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    tiny_model().save(path)
    return path


@pytest.mark.parametrize("allowed", [False, True])
def test_predict(model, tmp_path, monkeypatch, allowed):
    (tmp_path / "images").mkdir()
    Image.fromarray(random_images(1, 50, 60)[0]).save(tmp_path / "images" / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2999)
    result = run(
        *("predict", tmp_path / "images", "--model", model, "--output", tmp_path / "o"),
        *(["--allow-large-images"] if allowed else []),
    )
    assert result.exit_code == (0 if allowed else 1)
    with (tmp_path / "o" / "scores.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert bool(row["anomaly_score"]) == allowed
    assert ("--allow-large-images" in row["error"]) == (not allowed)


@pytest.mark.parametrize("command", READERS)
def test_every_command_that_reads_images_has_the_option(command):
    assert "--allow-large-images" in run(*command.split(), "--help").output
