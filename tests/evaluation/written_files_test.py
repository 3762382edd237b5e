"""A folder of results has those of the last run alone, and what others put there."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_rlr.evaluation.predict_images import predict_images
from tests.evaluation.regions.image_files_test import model_of

pytestmark = [
    pytest.mark.backend_independent,
    pytest.mark.filterwarnings("ignore:.*had results of an earlier run"),
]

NOTE = ".keras_rlr_predict.json"
# What people keep beside results.
OTHERS = (
    *("report.pdf", "overlays/mine.png", "overlays/sub/notes.txt", "other/a.png"),
    *("region_masks/drawn.png", "anomaly_maps/0.exr", "anomaly_maps/mine.npy"),
)


def write_images(folder, count, bright=200):
    for i in range(count):
        path = folder / ("sub" if i % 2 else "") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((40, 50, 3), "uint8")
        pixels[5:20, 5:30] = bright
        Image.fromarray(pixels).save(path)
    return folder


def write_others(output):
    for name in OTHERS:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text(f"mine: {name}")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def many(tmp_path):
    return write_images(tmp_path / "many", 6)


@pytest.fixture
def few(tmp_path):
    return write_images(tmp_path / "few", 3, 150)


@pytest.fixture
def expected(tmp_path, few):
    """What a run on few images writes to an empty folder."""
    predict_images(model_of(), few, tmp_path / "fresh")
    return contents(tmp_path / "fresh")


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("maps", ["npy", "tiff"])
def test_a_second_run_leaves_nothing_of_the_first_and_all_of_others(
    tmp_path, many, few, expected, maps, noted
):
    output = tmp_path / "output"
    predict_images(model_of(), many, output, regions=True, maps=maps)
    assert len(contents(output)) > 19
    if not noted:
        # As an earlier version left it.
        (output / NOTE).unlink()
    write_others(output)
    predict_images(model_of(), few, output)
    others = {name: f"mine: {name}".encode() for name in OTHERS}
    assert contents(output) == {**expected, **others}


def test_what_is_removed_is_said_in_a_line(tmp_path, many, few):
    output = tmp_path / "output"
    predict_images(model_of(), many, output)
    with pytest.warns(UserWarning, match="had results of an earlier run") as said:
        predict_images(model_of(), few, output)
    assert str(said[0].message).endswith(
        "removed 3 of its files that are not written again: overlays/4.png, "
        "overlays/sub/3.png, overlays/sub/5.png."
    )
    assert not list((output / "overlays").glob("*/5.png"))


def test_folders_that_are_empty_then_go_too(tmp_path, many, few):
    output = tmp_path / "output"
    predict_images(model_of(), many, output, regions=True, maps="npy")
    shutil.rmtree(few / "sub")
    predict_images(model_of(), few, output)
    found = sorted(p.relative_to(output).as_posix() for p in output.rglob("*"))
    wanted = [NOTE, "overlays", "overlays/0.png", "overlays/2.png", "scores.csv"]
    assert found == wanted


def test_what_a_killed_run_left_is_known(tmp_path, many, few, expected):
    output, left = tmp_path / "output", tmp_path / "left"

    def keep(done, _):
        # Nothing but the disk tells of a process that is killed.
        if done == 4:
            shutil.copytree(output, left)

    predict_images(model_of(), many, output, 2, keep, regions=True, maps="tiff")
    assert (left / "overlays/sub/1.png").exists()
    assert "1.png" not in (left / "scores.csv").read_text()
    predict_images(model_of(), few, left)
    assert contents(left) == expected


@pytest.mark.parametrize("noted", [True, False])
def test_a_run_that_fails_while_it_removes_mixes_nothing(
    tmp_path, many, few, expected, monkeypatch, noted
):
    output = tmp_path / "output"
    predict_images(model_of(), many, output, regions=True, maps="tiff")
    if not noted:
        (output / NOTE).unlink()
    before = contents(output)
    unlink, removed = Path.unlink, []

    def failing(path, *args, **kwargs):
        if len(removed) == 7:
            raise PermissionError(13, "not allowed", str(path))
        removed.append(path.relative_to(output).as_posix())
        unlink(path, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", failing)
        with pytest.raises(PermissionError):
            predict_images(model_of(), few, output)
    # No table tells of what is incomplete.
    assert removed[0] == "scores.csv"
    after = contents(output)
    after.pop(NOTE)
    assert after.items() < before.items()
    predict_images(model_of(), few, output)
    assert contents(output) == expected


def test_a_run_that_is_refused_removes_nothing(tmp_path, many):
    output = tmp_path / "output"
    predict_images(model_of(), many, output, regions=True)
    before = contents(output)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        predict_images(model_of(), tmp_path / "empty", output)
    with pytest.raises(ValueError, match="Maps are written as"):
        predict_images(model_of(), many, output, maps="png")
    (output / NOTE).write_text("{")
    before[NOTE] = b"{"
    with pytest.raises(ValueError, match=f"{NOTE}' is damaged, .* with --output"):
        predict_images(model_of(), many, output)
    assert contents(output) == before


def test_no_name_leads_out_of_the_folder(tmp_path, few):
    place = tmp_path / "place"
    output = place / "output"
    mine = [place / "mine.png", place / "far/mine.png"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    names = ["../../mine.png", os.fspath(mine[1]), "", "..", "."]
    rows = [f'"{name}",1.0,,' for name in names]
    output.mkdir()
    table = ["path,anomaly_score,is_anomalous,error", *rows]
    (output / "scores.csv").write_text("\n".join(table))
    predict_images(model_of(), few, output)
    note = {"files": ["../mine.png", os.fspath(mine[1]), "", ".."]}
    (output / NOTE).write_text(json.dumps(note))
    predict_images(model_of(), few, output)
    assert [path.read_text() for path in mine] == ["mine", "mine"]


def test_the_table_of_another_program_stays(tmp_path, many, few):
    output = tmp_path / "output"
    predict_images(model_of(), many, output)
    (output / NOTE).unlink()
    mine = ("regions.json", "region_masks/0.png", "anomaly_maps/0.tiff")
    for name in mine:
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_text('{"info": {"description": "drawn by hand"}}')
    predict_images(model_of(), few, output)
    assert all("drawn by hand" in (output / name).read_text() for name in mine)


def test_what_is_not_written_of_a_broken_image_is_not_removed(tmp_path, few):
    output = tmp_path / "output"
    (few / "broken.png").write_bytes(b"no image")
    (output / "overlays").mkdir(parents=True)
    (output / "overlays/broken.png").write_text("mine")
    for _ in range(2):
        predict_images(model_of(), few, output)
    assert (output / "overlays/broken.png").read_text() == "mine"


def test_an_image_that_is_scored_is_not_removed_before(tmp_path, few):
    output = tmp_path / "output"
    predict_images(model_of(), few, output, regions=True)
    (row,) = predict_images(model_of(), output / "region_masks/0.png", output)
    assert not row.error and row.anomaly_score == pytest.approx(2.55)
