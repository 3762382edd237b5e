"""A run and a data set to do wrong by."""

import shutil

import pytest
from PIL import Image

from tests.tiny_model import ONE_LEVEL, random_images, tiny_model


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run's folder, a data set and an image."""
    root = tmp_path_factory.mktemp("whole")
    for part in ("train/good", "test/good", "test/dent"):
        (root / "data/bolt" / part).mkdir(parents=True)
        for i, pixels in enumerate(random_images(3)):
            Image.fromarray(pixels).save(root / "data/bolt" / part / f"{i}.png")
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20), false_positive_rate=0.1)
    (root / "run").mkdir()
    model.save(root / "run/model.keras")
    return root


@pytest.fixture
def root(whole, tmp_path, monkeypatch):
    """A copy of `whole` to work in."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
