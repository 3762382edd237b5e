"""What Ray's workers write is what `predict` writes, also to `keras-rlr monitor`."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_rlr.batch import find_lake as finding
from keras_rlr.batch import lake as lakes
from keras_rlr.batch.find_lake import find_lake
from keras_rlr.datasets.procedural.png_file import write_png
from keras_rlr.evaluation.drift.scores_table import ScoresTable
from keras_rlr.evaluation.predict_images import predict_images
from keras_rlr.inputs.image_measures import MEASURES
from tests.batch.lakes import open_results, scorer
from tests.products import elements_of, strange_images
from tests.run_command import run
from tests.tiny_model import ONE_LEVEL, tiny_model

pytestmark = pytest.mark.backend_independent

COUNTS = {"bolt": 25, "nut": 22}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(elements_of(COUNTS), false_positive_rate=0.2)
    assert sorted(model.known_categories) == sorted(COUNTS)
    path = tmp_path_factory.mktemp("run") / "model.keras"
    model.save(path)
    return model, path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Images of products that only the images tell, some strange, and no image."""
    folder = tmp_path_factory.mktemp("images")
    new = elements_of(COUNTS, seed=50, with_category=False)
    found = [*(element["image"] for element in new), *strange_images()]
    for i, image in enumerate(found):
        name = f"=formula/{i}.png" if i % 7 == 0 else f"{i % 3}/{i}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        write_png(folder / name, image)
    (folder / "0" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    for module in (lakes, finding):
        monkeypatch.setattr(module, "IMAGES_A_PART", 8)


def score(path, place, output):
    """Scores a place without Ray, the last part first."""
    results = open_results(output, path)
    parts = find_lake(str(place)).parts(results)
    for part in reversed(parts):
        assert not scorer(output).score(part).refusal
    results.end_work()
    return len(parts)


def check_alike(found, expected):
    assert found.names_products and expected.names_products
    assert [row.path for row in found.rows] == [row.path for row in expected.rows]
    for row, wanted in zip(found.rows, expected.rows, strict=True):
        assert (row.category, row.error) == (wanted.category, wanted.error)
        assert row.measures == pytest.approx(wanted.measures, abs=1e-6, nan_ok=True)
        assert row.score == pytest.approx(wanted.score, rel=1e-5, nan_ok=True)


def test_monitor_says_the_same_of_both(model, images, tmp_path):
    detector, path = model
    predict_images(detector, images, tmp_path / "predict", batch_size=4)
    assert score(path, images, tmp_path / "ray") == 7
    of_predict, of_ray = (tmp_path / name for name in ("predict", "ray"))
    check_alike(ScoresTable.read([of_ray]), ScoresTable.read([of_predict]))
    with (of_predict / "scores.csv").open(newline="") as file:
        expected = {row["path"]: row for row in csv.DictReader(file)}
    rows = pq.read_table(of_ray).to_pylist()
    assert len(rows) == len(expected) == 50
    assert {row["category"] for row in rows} == {*COUNTS, "(unknown)", None}
    for row in rows:
        for name in ("comparable_score", *MEASURES):
            text = expected[row["path"]][name]
            if not text:
                assert row[name] is None
                continue
            assert row[name] == pytest.approx(float(text), rel=1e-4, abs=1e-6), row
    words = ("monitor", "--model", path, "--window", 20, "--json")
    told = [run(*words, place) for place in (of_predict, of_ray)]
    assert [result.exit_code for result in told] == [0, 0], told[1].stderr
    windows, same = (json.loads(result.stdout)["windows"] for result in told)
    assert len(windows) == len(same) > 6
    for window, other in zip(windows, same, strict=True):
        assert other.keys() == window.keys()
        for key, value in window.items():
            if isinstance(value, float):
                value = pytest.approx(value, rel=1e-4)
            assert other[key] == value, key
    assert "1 of 50 images have no score" in told[1].stderr


def test_rows_of_a_lake_of_parquet_keep_their_order(model, images, tmp_path):
    detector, path = model
    files = sorted(images.rglob("*.png"))[::-1]
    lake = tmp_path / "lake"
    lake.mkdir()
    names = {}
    # Days whose images have the same names.
    for day, chosen in (("monday", files[:20]), ("tuesday", files[20:40])):
        table = {
            "path": [f"{i}.png" for i in range(len(chosen))],
            "content": [file.read_bytes() for file in chosen],
        }
        pq.write_table(pa.table(table), lake / f"{day}.parquet", row_group_size=12)
        names[day] = table["path"]
    assert score(path, lake, tmp_path / "out") == 6
    rows = ScoresTable.read([tmp_path / "out"]).rows
    assert [row.path for row in rows] == names["monday"] + names["tuesday"]
    predict_images(detector, images, tmp_path / "predict", batch_size=4)
    by_path = {row.path: row for row in ScoresTable.read([tmp_path / "predict"]).rows}
    for row, file in zip(rows, files, strict=False):
        name = file.relative_to(images).as_posix()
        wanted = by_path[f"./{name}" if name.startswith("=") else name]
        assert row.score == pytest.approx(wanted.score, rel=1e-5, nan_ok=True)
