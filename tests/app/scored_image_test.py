import tracemalloc

import numpy as np
import pytest
from PIL import Image

from keras_rlr.app import score_files
from tests.tiny_model import random_images, tiny_model

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_scores_are_the_models_and_a_broken_file_fails_alone(model, tmp_path):
    images = random_images(2, 40, 50)
    paths = [str(tmp_path / name) for name in ("a.png", "broken.jpg", "b.png")]
    Image.fromarray(images[0]).save(paths[0])
    Image.fromarray(images[1]).save(paths[2])
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    found = score_files(model, paths)
    expected = model.predict(images, verbose=0)
    assert [image.name for image in found] == ["a.png", "broken.jpg", "b.png"]
    for image, i in ((found[0], 0), (found[2], 1)):
        assert image.score == pytest.approx(expected["anomaly_score"][i], rel=1e-5)
        np.testing.assert_allclose(
            image.anomaly_map, expected["anomaly_map"][i], rtol=1e-4, atol=1e-6
        )
        np.testing.assert_array_equal(image.pixels, images[i])
    assert "can't be read as an image" in found[1].error
    assert str(tmp_path) not in found[1].error


def test_images_are_turned_upright(model, tmp_path):
    image = random_images(1, 30, 60)[0]
    turned = np.rot90(image, 1)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter to the left
    path = str(tmp_path / "phone.png")
    Image.fromarray(turned).save(path, exif=exif)
    (found,) = score_files(model, [path])
    np.testing.assert_array_equal(found.pixels, image)
    expected = model.predict([image], verbose=0)["anomaly_score"][0]
    assert found.score == pytest.approx(expected, rel=1e-5)


def test_the_threshold_itself_is_anomalous(model, tmp_path):
    path = str(tmp_path / "a.png")
    Image.fromarray(random_images(1)[0]).save(path)
    (found,) = score_files(model, [path])
    assert found.decision(found.score) == "anomalous"
    above = np.nextafter(np.float32(found.score), np.float32(np.inf))
    assert found.decision(float(above)) == "normal"


def test_regions_are_found_and_outlined(model, tmp_path):
    path = str(tmp_path / "a.png")
    Image.fromarray(random_images(1, 64, 64)[0]).save(path)
    (found,) = score_files(model, [path])
    assert found.category is None
    middle = float(np.median(found.anomaly_map))
    regions = found.regions(middle)
    assert sum(region.area for region in regions) == (found.anomaly_map >= middle).sum()
    assert found.regions(np.inf) == []
    plain, outlined = found.picture(1.0), found.picture(1.0, middle)
    assert plain.tobytes() != outlined.tobytes()
    assert plain.tobytes() == found.picture(1.0, np.inf).tobytes()


def test_many_large_photographs_are_not_in_memory_at_once(model, tmp_path):
    pixels = random_images(1, 2300, 2000)[0]
    paths = [str(tmp_path / f"{i}.jpg") for i in range(10)]
    for path in paths:
        Image.fromarray(pixels).save(path)
    tracemalloc.start()
    try:
        found = score_files(model, paths)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [image.error for image in found] == [""] * 10
    # Of those that are read at once, and not of all.
    assert peak < 6 * pixels.nbytes


def test_a_large_photograph_is_kept_small(model, tmp_path):
    path = str(tmp_path / "large.jpg")
    Image.fromarray(random_images(1, 900, 1800)[0]).save(path)
    (found,) = score_files(model, [path])
    assert found.pixels.shape == (256, 512, 3)
    picture = found.picture(1.0)
    assert picture.height == 256
    assert picture.width > 2 * 512


def test_no_files_are_no_images(model):
    assert score_files(model, []) == []
