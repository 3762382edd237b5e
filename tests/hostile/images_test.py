"""Odd and harmful image files: each is read or refused in a sentence."""

import csv
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_rlr.app import score_files
from keras_rlr.datasets import read_image
from keras_rlr.datasets.image_files import read_image_bytes
from keras_rlr.detectors.loading import load_model
from tests.hostile.image_kinds import BMP, GIF, JPEG, PNG, READ, REFUSED, TIFF, WEBP
from tests.hostile.outcome import bounded, check_printable, refused
from tests.run_command import run
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

pytestmark = [
    pytest.mark.backend_independent,
    # Pillow tells of bombs that we refuse, and of EXIF data that we don't use.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model's file."""
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20), false_positive_rate=0.1)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All files, in one folder."""
    folder = tmp_path_factory.mktemp("images")
    for name, content in {**READ, **REFUSED}.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", READ)
def test_odd_files_are_read(name, folder):
    with bounded():
        pixels = read_image(folder / name)
    assert pixels.ndim == 3 and pixels.size and pixels.dtype in (np.uint8, np.uint16)


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_in_a_sentence(name, folder):
    with bounded(), pytest.raises(ValueError) as caught:
        read_image(folder / name)
    message = str(caught.value)
    assert message.startswith(f"'{folder / name}' can't be read as an image: ")
    assert "Expected a complete PNG, JPEG" in message
    assert len(message) < 1000
    check_printable(message)


def test_predict_scores_the_readable_and_gives_the_others_their_error(
    folder, model, tmp_path
):
    with bounded():
        result = run("predict", folder, "--model", model, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    check_printable(result.output)
    with (tmp_path / "out/scores.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert set(rows) == {*READ, *REFUSED}
    assert {name for name, row in rows.items() if row["error"]} == set(REFUSED)
    assert all(rows[name]["anomaly_score"] for name in READ)
    drawn = list((tmp_path / "out/overlays").iterdir())
    # Nothing partly written, and one picture for each that has a score.
    assert len(drawn) == len(READ) and not [p for p in drawn if p.name[0] == "."]


def test_the_page_shows_the_readable_and_the_others_errors(folder, model):
    names = [*READ, *REFUSED]
    with bounded():
        scored = score_files(load_model(model), [str(folder / name) for name in names])
    assert {image.name for image in scored if image.error} == set(REFUSED)
    for image in scored:
        # Not where the server keeps it.
        assert str(folder) not in image.error


def test_verify_names_every_file_that_can_not_be_read(folder):
    with bounded():
        result = run("datasets", "verify", "--data", _data(folder))
    assert result.exit_code == 1
    for name in REFUSED:
        assert name in result.stderr
    check_printable(result.output)


def test_train_refuses_a_data_set_with_one_and_writes_nothing(folder, tmp_path):
    data = _data(folder)
    for name in READ:
        (data / "bolt/train/good" / name).unlink()
    words = ("--backbone", "efficientnet_lite2", "--levels", "3", "--image-size", 96)
    out = tmp_path / "run"
    sentence = refused("train", "--data", data, "--output", out, "--epochs", 1, *words)
    assert "can't be read as an image" in sentence
    assert not out.exists()


def _data(folder):
    """A data set whose training images are these."""
    data = folder.parent / f"data_of_{folder.name}"
    if not data.exists():
        (data / "bolt/test/good").mkdir(parents=True)
        (data / "bolt/test/good/0.png").write_bytes(PNG)
        shutil.copytree(folder, data / "bolt/train/good")
    return data


@given(st.binary(max_size=300))
@settings(max_examples=60)
def test_any_bytes(content):
    _read(content)


@given(st.data())
@settings(max_examples=150)
def test_any_damage_to_a_file(data):
    content = bytearray(data.draw(st.sampled_from([PNG, JPEG, TIFF, BMP, GIF, WEBP])))
    for _ in range(data.draw(st.integers(1, 4))):
        # The beginning, which tells what follows, more often than the rest.
        end = data.draw(st.sampled_from([64, len(content)]))
        start = data.draw(st.integers(0, end - 1))
        content[start : start + data.draw(st.integers(0, 8))] = data.draw(
            st.binary(max_size=8)
        )
        if not content:
            break
    _read(bytes(content))


def _read(content):
    with bounded():
        try:
            pixels = read_image_bytes(content, "a.png")
        except ValueError as error:
            assert str(error).startswith("'a.png' can't be read as an image: ")
        else:
            assert pixels.ndim == 3 and pixels.dtype in (np.uint8, np.uint16)
