import csv
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_rlr.batch import find_lake as finding
from keras_rlr.batch import lake as lakes
from keras_rlr.batch.find_lake import find_lake
from keras_rlr.detectors.loading import load_model
from keras_rlr.evaluation.predict_images import predict_images
from keras_rlr.inputs.image_measures import MEASURES
from tests.batch.lakes import MODEL, open_results, score_here, scorer, write_lake

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return write_lake(tmp_path_factory.mktemp("lake") / "images")


@pytest.fixture(scope="module")
def expected(lake, tmp_path_factory):
    """The rows of `scores.csv`, by path."""
    output = tmp_path_factory.mktemp("expected")
    predict_images(load_model(MODEL), lake, output, batch_size=4)
    with (output / "scores.csv").open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    for module in (lakes, finding):
        monkeypatch.setattr(module, "IMAGES_A_PART", 8)


def check(rows, expected, name_of=lambda row: row["path"]):
    assert sorted(map(name_of, rows)) == sorted(expected)
    for row in rows:
        wanted = expected[name_of(row)]
        assert bool(row["error"]) == bool(wanted["error"])
        flag = "" if row["is_anomalous"] is None else str(row["is_anomalous"]).lower()
        assert flag == wanted["is_anomalous"]
        if not row["error"]:
            score = float(wanted["anomaly_score"])
            assert row["anomaly_score"] == pytest.approx(score, abs=1e-5)
            for name in MEASURES:
                assert row[name] == pytest.approx(float(wanted[name]), abs=1e-6)


def test_a_folder_gets_the_rows_of_predict(lake, expected, tmp_path):
    reports = score_here(lake, tmp_path / "out")
    assert [report.images for report in reports] == [8, 8, 8, 8, 7]
    assert not any(report.refusal or report.warnings for report in reports)
    rows = pq.read_table(tmp_path / "out").to_pylist()
    check(rows, expected)
    assert {row["error"] for row in rows} == {r["error"] for r in expected.values()}
    assert {row["category"] for row in rows} == {"bolt", "nut", None}
    # Both decisions come up, and not by one threshold.
    assert len({row["is_anomalous"] for row in rows if row["category"] == "nut"}) > 1


def test_a_named_category_decides_for_all(lake, tmp_path):
    score_here(lake, tmp_path / "out", category="nut")
    rows = pq.read_table(tmp_path / "out").to_pylist()
    threshold = load_model(MODEL).thresholds.of("nut")
    scored = [row for row in rows if not row["error"]]
    assert len(scored) == 36
    for row in scored:
        assert row["is_anomalous"] == (row["anomaly_score"] >= np.float32(threshold))


def _write_table(lake, file, **columns):
    images = sorted(p for p in lake.rglob("*") if p.is_file())
    names = [p.relative_to(lake).as_posix() for p in images]
    contents = [p.read_bytes() for p in images]
    made = {name: make(names, contents) for name, make in columns.items()}
    pq.write_table(pa.table(made), file, row_group_size=20)
    return names


def test_parquet_of_bytes_with_their_paths(lake, expected, tmp_path):
    _write_table(
        lake,
        tmp_path / "lake.parquet",
        content=lambda names, contents: contents,
        path=lambda names, contents: names,
    )
    reports = score_here(tmp_path / "lake.parquet", tmp_path / "out")
    # Two row groups, of 20 and of 19.
    assert [report.images for report in reports] == [8, 8, 4, 8, 8, 3]
    check(pq.read_table(tmp_path / "out").to_pylist(), expected)


def test_parquet_of_structs_and_of_bytes_without_names(lake, expected, tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    _write_table(
        lake,
        shards / "a.parquet",
        image=lambda names, contents: [
            {"bytes": content, "path": name}
            for name, content in zip(names, contents, strict=True)
        ],
        label=lambda names, contents: ["unused"] * len(names),
    )
    score_here(shards, tmp_path / "out")
    check(pq.read_table(tmp_path / "out").to_pylist(), expected)

    file = tmp_path / "nameless.parquet"
    _write_table(lake, file, jpeg=lambda names, contents: contents)
    score_here(file, tmp_path / "nameless", category="nut")
    rows = pq.read_table(tmp_path / "nameless").to_pylist()
    names = sorted(expected)
    # Rows are counted on over row groups.
    assert {row["path"] for row in rows} == {f"{file}#{i}" for i in range(len(names))}
    for row in rows:
        wanted = expected[names[int(row["path"].rpartition("#")[2])]]
        assert bool(row["error"]) == bool(wanted["error"])
        if not row["error"]:
            score = float(wanted["anomaly_score"])
            assert row["anomaly_score"] == pytest.approx(score, abs=1e-5)
            for name in MEASURES:
                assert row[name] == pytest.approx(float(wanted[name]), abs=1e-6)


def test_parquet_of_paths_and_addresses(lake, expected, tmp_path):
    def places(names, contents):
        ways = (lambda n: str(lake / n), lambda n: f"file://{lake / n}", os.fspath)
        return [ways[i % 3](name) for i, name in enumerate(names)]

    # Relative paths start beside the file.
    file = lake.parent / "list.parquet"
    _write_table(lake, file, place=places)
    table = pq.read_table(file).to_pydict()
    table["place"] = [
        place if "/images/" in place else f"images/{place}" for place in table["place"]
    ]
    table["note"] = ["n"] * len(table["place"])
    table["place"].append(str(lake / "gone.png"))
    table["note"].append("n")
    pq.write_table(pa.table(table), file)
    score_here(file, tmp_path / "out", column="place")
    rows = pq.read_table(tmp_path / "out").to_pylist()
    (gone,) = (row for row in rows if "gone.png" in row["path"])
    assert "There is no image file" in gone["error"]
    rows.remove(gone)
    check(rows, expected, lambda row: row["path"].rpartition("images/")[2])


def test_an_object_store_gets_the_rows_of_predict(lake, expected, tmp_path):
    import fsspec

    files = fsspec.filesystem("memory")
    files.put(f"{lake}/", "/bucket/images/", recursive=True)
    files.pipe_file("/bucket/images/notes.xyz", b"")
    try:
        with pytest.warns(UserWarning, match=r"1 file of unknown kind .*notes\.xyz"):
            score_here("memory://bucket/images", "memory://bucket/out")
        parts = files.glob("/bucket/out/part-*.parquet")
        rows = [
            row for part in parts for row in pq.read_table(files.open(part)).to_pylist()
        ]
        assert len(parts) == 5
        assert not files.glob("/bucket/out/_[!sw]*"), "temporary files stay"
        check(rows, expected)
    finally:
        files.rm("/bucket", recursive=True)


def test_what_is_there_is_not_scored_again(lake, expected, tmp_path):
    results = open_results(tmp_path / "out")
    parts = find_lake(str(lake)).parts(results)
    worker = scorer(tmp_path / "out")
    for part in parts[1:3]:
        worker.score(part)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("part-*")}
    assert len(before) == 2
    # A worker that repeats what another one did leaves it.
    assert worker.score(parts[1]).value_ranges is None
    left = find_lake(str(lake)).parts(results)
    assert sum(part.count for part in left) == len(expected) - 16
    for part in left:
        worker.score(part)
    for path, changed in before.items():
        assert path.stat().st_mtime_ns == changed
    check(pq.read_table(tmp_path / "out").to_pylist(), expected)
    assert results.count().names == len(expected)
    assert find_lake(str(lake)).parts(results) == []


def test_what_failed_is_tried_again_if_asked(lake, expected, tmp_path):
    images = shutil.copytree(lake, tmp_path / "images")
    away = (images / "nut").rename(tmp_path / "away")
    (images / "nut").mkdir()
    for path in away.iterdir():
        (images / "nut" / path.name).touch()  # as of a disk that is not there
    score_here(images, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert sum(bool(row["error"]) for row in rows) == 15
    shutil.rmtree(images / "nut")
    away.rename(images / "nut")
    again = find_lake(str(images))
    results = open_results(tmp_path / "out")
    assert again.parts(results) == []
    again.drop_failed(results)
    left = again.parts(results)
    assert sum(part.count for part in left) == 15
    for part in left:
        scorer(tmp_path / "out").score(part)
    rows = pq.read_table(tmp_path / "out").to_pylist()
    for row in rows:
        row["error"] = row["error"].replace(f"{images}", f"{lake}")
    check(rows, expected)


def test_a_damaged_row_group_costs_its_own_rows_alone(lake, expected, tmp_path):
    table = tmp_path / "lake" / "images.parquet"
    table.parent.mkdir()
    names = _write_table(lake, table, path=lambda n, _: n, image=lambda _, c: c)
    whole = table.read_bytes()
    column = pq.ParquetFile(table).metadata.row_group(1).column(1)
    start = column.data_page_offset
    table.write_bytes(whole[:start] + b"\xff" * 60 + whole[start + 60 :])
    # What writes tables of nothing may not know what would be in them.
    nothing = {"path": pa.nulls(0), "image": pa.nulls(0)}
    pq.write_table(pa.table(nothing), tmp_path / "lake" / "empty.parquet")
    reports = score_here(tmp_path / "lake", tmp_path / "out")
    assert not any(report.refusal for report in reports)
    rows = pq.read_table(tmp_path / "out").to_pylist()
    lost = [row for row in rows if "is damaged in the row group" in row["error"]]
    group = pq.ParquetFile(table).metadata.row_group(0).num_rows
    assert sorted(row["path"] for row in lost) == sorted(
        f"{table}#{i}" for i in range(group, min(2 * group, len(names)))
    )
    check(
        [r for r in rows if r not in lost],
        {name: expected[name] for i, name in enumerate(names) if i // group != 1},
    )
    table.write_bytes(whole)
    results = open_results(tmp_path / "out")
    again = find_lake(str(tmp_path / "lake"))
    again.drop_failed(results)
    for part in again.parts(results):
        scorer(tmp_path / "out").score(part)
    check(pq.read_table(tmp_path / "out").to_pylist(), expected)


def test_an_image_that_ends_its_worker_is_left_alone(lake, expected, tmp_path):
    results = open_results(tmp_path / "out")
    part = find_lake(str(lake)).parts(results)[0]
    worker = scorer(tmp_path / "out")
    names = [image.name for image in part.images()]
    # What workers note whose process ends at the third image.
    results.note_attempt(part.name, {"begun": 3, "ended": [2], "reading": 2})
    worker.score(part)
    rows = pq.read_table(tmp_path / "out").to_pylist()
    (left_alone,) = (row for row in rows if row["path"] == names[2])
    assert (
        "was being read when the worker's process ended 2 times"
        in (left_alone["error"])
    )
    rows.remove(left_alone)
    check(rows, {name: expected[name] for name in names if name != names[2]})
    assert results.read_attempt(part.name) == {}


def test_images_whose_values_are_not_what_their_type_says_stop_it(tmp_path):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(4):
        dark = np.full((32, 32), 100 + i, "uint16")
        dark[0] = 7
        Image.fromarray(dark).save(folder / f"{i}.png")
    (report,) = score_here(folder, tmp_path / "out")
    assert "8-bit images in 16 bits" in str(report.refusal)
    assert not list((tmp_path / "out").glob("part-*"))
