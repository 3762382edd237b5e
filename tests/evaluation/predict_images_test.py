import csv
import os
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image

from keras_rlr.evaluation import predict_images as module
from keras_rlr.evaluation.predict_images import predict_images
from keras_rlr.evaluation.prediction import Prediction
from tests.evaluation.stand_in_model import StandInModel

pytestmark = pytest.mark.backend_independent

# What `WrittenFiles` keeps.
NOTE = ".keras_rlr_predict.json"


def write_image(path, value, size=(32, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def read_scores(output):
    with (output / "scores.csv").open(
        encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        return list(csv.DictReader(file))


def overlays(output):
    root = output / "overlays"
    return sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()
    )


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    write_image(folder / "b.png", 50)
    write_image(folder / "sub" / "a.jpg", 200)
    (folder / "sub" / "broken.png").write_bytes(b"no image")
    write_image(folder / "z.png", 120)
    return folder


@pytest.mark.parametrize("threshold", [None, 1.0])
def test_every_image_gets_a_row_and_every_readable_one_an_overlay(
    tmp_path, images, threshold
):
    output = tmp_path / "output"
    rows = predict_images(StandInModel(16, threshold), images, output, batch_size=2)
    read = read_scores(output)
    assert [row["path"] for row in read] == [
        "b.png",
        "sub/a.jpg",
        "sub/broken.png",
        "z.png",
    ]
    flags = ["false", "true", "", "true"] if threshold else [""] * 4
    assert [row["is_anomalous"] for row in read] == flags
    scores = [float(row["anomaly_score"] or "nan") for row in read]
    np.testing.assert_allclose(scores, [0.5, 2.0, np.nan, 1.2], atol=0.01)
    assert "can't be read as an image" in read[2]["error"]
    assert [row["error"] == "" for row in read] == [True, True, False, True]
    assert rows[0].anomaly_score == float(read[0]["anomaly_score"])
    assert overlays(output) == ["b.png", "sub/a.png", "z.png"]
    assert sorted(os.listdir(output)) == [NOTE, "overlays", "scores.csv"]


def test_without_a_threshold_the_scale_is_that_of_all_images(tmp_path, images):
    predict_images(StandInModel(16), images, tmp_path / "all", batch_size=1)
    quiet = np.asarray(Image.open(tmp_path / "all" / "overlays" / "b.png"))
    height, width = 192, 256
    np.testing.assert_array_equal(quiet[:, :width], quiet[:, width + 8 : 2 * width + 8])
    assert quiet.shape[0] == height
    loud = np.asarray(Image.open(tmp_path / "all" / "overlays" / "sub" / "a.png"))
    change = loud[:, :width].astype(int) - loud[:, width + 8 : 2 * width + 8]
    assert np.abs(change).min() > 5


def test_all_batches_have_one_size_whatever_can_be_read(tmp_path, images):
    model = StandInModel(16)
    predict_images(model, images, tmp_path / "output", batch_size=3)
    assert model.batches == [3, 3]
    few = StandInModel(16)
    predict_images(few, images, tmp_path / "few", batch_size=16)
    assert few.batches == [4]


def test_one_image_file(tmp_path, images):
    rows = predict_images(StandInModel(16), images / "b.png", tmp_path / "output")
    assert [row.path for row in rows] == ["b.png"]
    assert overlays(tmp_path / "output") == ["b.png"]


def test_overlays_of_files_that_differ_in_suffix_alone(tmp_path):
    for name in ("a.bmp", "a.jpg", "a.jpg.png", "a.png"):
        write_image(tmp_path / "images" / name, 100)
    predict_images(StandInModel(16, 1.0), tmp_path / "images", tmp_path / "output")
    assert len(overlays(tmp_path / "output")) == 4


def test_a_second_run_does_not_take_its_overlays_for_images(tmp_path, images):
    for _ in range(2):
        rows = predict_images(StandInModel(16, 1.0), images, images / "predictions")
    assert len(rows) == 4
    others = (
        r"'.*images': 4 results of earlier predictions \(predictions/overlays/b.png,"
    )
    for _ in range(2):
        with pytest.warns(UserWarning, match=others):
            rows = predict_images(StandInModel(16, 1.0), images, images)
        assert len(rows) == 4


def test_names_are_no_formulas_and_survive_quoting(tmp_path):
    names = ["+1.png", "=cmd().png", "-x.png", "@y.png", 'a,"b".png', "c\nd.png"]
    for name in names:
        write_image(tmp_path / "images" / name, 100)
    predict_images(StandInModel(16, 1.0), tmp_path / "images", tmp_path / "output")
    paths = [row["path"] for row in read_scores(tmp_path / "output")]
    assert not any(path.startswith(("=", "+", "-", "@")) for path in paths)
    found = {os.path.normpath(path) for path in paths}
    assert found == set(names)


def test_names_that_are_no_utf_8(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_image(tmp_path / "images" / "plain.png", 100)
    os.rename(tmp_path / "images" / "plain.png", tmp_path / "images" / name)
    predict_images(StandInModel(16, 1.0), tmp_path / "images", tmp_path / "output")
    assert read_scores(tmp_path / "output")[0]["path"] == name


def test_refuses_a_folder_without_images(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="There are no images in"):
        predict_images(StandInModel(16), tmp_path / "empty", tmp_path / "output")
    assert not (tmp_path / "output").exists()


def test_refuses_an_output_that_is_a_file(tmp_path, images):
    (tmp_path / "output").write_text("mine")
    with pytest.raises(NotADirectoryError, match="Choose another folder with --output"):
        predict_images(StandInModel(16), images, tmp_path / "output")
    assert (tmp_path / "output").read_text() == "mine"


def test_all_unreadable_still_gives_the_table(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    rows = predict_images(StandInModel(16), tmp_path / "images", tmp_path / "output")
    assert [bool(row.error) for row in rows] == [True]
    assert read_scores(tmp_path / "output")[0]["error"]


def test_the_nearest_folder_called_like_a_category_gives_the_threshold(tmp_path):
    root = tmp_path / "wood" / "line 3"
    for name in ("gear/test/ok/a.png", "gear/wood/b.png", "c.png", "wool/d.png"):
        write_image(root / name, 120)
    model = StandInModel(16, threshold=1.0, by_category={"gear": 2.0, "wood": 1.1})
    rows = predict_images(model, root, tmp_path / "output")
    found = {row.path: (row.category, row.is_anomalous) for row in rows}
    assert found == {
        "c.png": ("wood", True),
        "gear/test/ok/a.png": ("gear", False),
        "gear/wood/b.png": ("wood", True),
        "wool/d.png": ("wood", True),
    }
    rows = predict_images(model, root, tmp_path / "output", category="gear")
    assert not any(row.is_anomalous for row in rows)
    (row,) = predict_images(model, root / "gear/test/ok/a.png", tmp_path / "output")
    assert row.category == "gear"


class Stopping(StandInModel):
    """Is interrupted in its third batch."""

    def infer_resized(self, images):
        if len(self.batches) == 2:
            raise KeyboardInterrupt
        return super().infer_resized(images)


@pytest.mark.parametrize("threshold", [None, 1.0])
def test_an_interruption_keeps_what_was_done(tmp_path, threshold):
    for i in range(7):
        write_image(tmp_path / "images" / f"{i}.png", 20 * i)
    output = tmp_path / "output"
    output.mkdir()
    (output / "scores.csv").write_text("of an earlier run")
    with pytest.raises(KeyboardInterrupt):
        predict_images(Stopping(16, threshold), tmp_path / "images", output, 2)
    rows = read_scores(output)
    assert [row["path"] for row in rows] == ["0.png", "1.png", "2.png", "3.png"]
    assert [float(row["anomaly_score"]) for row in rows] == pytest.approx(
        [0, 0.2, 0.4, 0.6]
    )
    assert [path.name for path in output.iterdir() if path.name[0] == "."] == [NOTE]


def test_scores_are_on_disk_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_WRITES", -1)
    monkeypatch.setattr(module, "_PAUSE", 0)
    for i in range(5):
        write_image(tmp_path / "images" / f"{i}.png", 20 * i)
    output = tmp_path / "output"
    seen = []
    predict_images(
        StandInModel(16, 1.0),
        tmp_path / "images",
        output,
        batch_size=2,
        on_progress=lambda *_: seen.append(len(read_scores(output))),
    )
    assert seen == [2, 4, 5]


def test_scores_of_many_are_written_less_often(tmp_path, monkeypatch):
    now, written = [0.0], []

    class Slow:
        """What takes five seconds to write, as a million rows do."""

        def save(self):
            now[0] += 5
            written.append(now[0])

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    rows = [Prediction(f"{i}.png", float(i)) for i in range(4)]
    with module._GrowingScores(tmp_path / "scores.csv", rows, False, Slow()) as scores:
        for now[0] in (10.0, 90.0, 110.0, 190.0):
            scores.advance(2)
        assert len(read_scores(tmp_path)) == 2
        scores.advance(4)
    assert written == [5.0, 115.0, 195.0]
    assert len(read_scores(tmp_path)) == 4


def test_a_disk_without_room_for_the_maps_is_said(tmp_path, images):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may be so large, which the disk says as it says that it is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(OSError, match="no room in '.*' for the maps of all"):
            predict_images(StandInModel(16, None), images, tmp_path / "output")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Broken(StandInModel):
    """Gives NaN for dark images."""

    def _map(self, image):
        found = super()._map(image)
        return np.full_like(found, np.nan) if image.max() < 40 else found


@pytest.mark.parametrize("threshold", [None, 1.0])
def test_a_score_that_is_nan_is_an_error_and_no_decision(tmp_path, threshold):
    for i in range(4):
        write_image(tmp_path / "images" / f"{i}.png", 30 * i)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*anomaly scores are NaN or")
        predict_images(Broken(16, threshold), tmp_path / "images", tmp_path / "output")
    rows = read_scores(tmp_path / "output")
    assert [row["anomaly_score"] == "" for row in rows] == [True, True, False, False]
    assert [row["is_anomalous"] == "" for row in rows[:2]] == [True, True]
    assert "score is nan, so nothing is decided" in rows[0]["error"]
    assert overlays(tmp_path / "output") == ["2.png", "3.png"]


def test_large_images_are_not_in_memory_at_once(tmp_path):
    for i in range(10):
        write_image(tmp_path / "images" / f"{i}.jpg", 100, (2400, 2000))
    tracemalloc.start()
    try:
        predict_images(StandInModel(16, 1.0), tmp_path / "images", tmp_path / "output")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # They take 144 MB; what is shown of one, 2.6 MB as float32.
    assert peak < 100e6
    assert len(overlays(tmp_path / "output")) == 10


def test_hidden_images_are_named_and_other_hidden_files_are_not(tmp_path):
    folder = tmp_path / "images"
    for name in ("a.png", ".hid.PNG", ".cache/b.jpg"):
        write_image(folder / name, 20)
    for name in ("._a.png", ".DS_Store", ".notes"):
        (folder / name).write_bytes(b"none")
    (folder / ".#a.png").symlink_to("nobody@nowhere")
    with pytest.warns(UserWarning, match="Left out") as said:
        rows = predict_images(StandInModel(16), folder, tmp_path / "output")
    assert [row.path for row in rows] == ["a.png"]
    (line,) = [str(warning.message) for warning in said]
    assert line.endswith(
        ": 2 hidden images, of names or folders with a dot in front (.cache/b.jpg, "
        ".hid.PNG)."
    )


def test_a_folder_of_parquet_files_needs_another_engine(tmp_path):
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake/part-0.parquet").write_bytes(b"PAR1")
    with (
        pytest.warns(UserWarning, match="Left out"),
        pytest.raises(FileNotFoundError, match="are read by --engine ray"),
    ):
        predict_images(StandInModel(16), tmp_path / "lake", tmp_path / "output")


def test_what_is_left_out_is_named(tmp_path):
    write_image(tmp_path / "images" / "a.png", 20)
    (tmp_path / "images" / "b.dng").write_bytes(b"raw")
    (tmp_path / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(UserWarning, match=r"Left out of .*\.dng: b\.dng.*gone\.png"):
        rows = predict_images(
            StandInModel(16), tmp_path / "images", tmp_path / "output"
        )
    assert [row.path for row in rows] == ["a.png"]
