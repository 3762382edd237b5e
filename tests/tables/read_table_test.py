"""Tables of Parquet are read as those of CSV, or refused in a sentence."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_rlr.batch.result_folder import ResultFolder
from keras_rlr.evaluation.prediction import Prediction
from keras_rlr.tables.read_table import read_table

pytestmark = pytest.mark.backend_independent

NEEDED, ALSO = ("path", "anomaly_score"), ("error", "category", "is_anomalous")
CSV = (
    "path,anomaly_score,is_anomalous,error,category\n"
    "a.png,0.5,false,,nut\nb.png,2.25,true,,(unknown)\nc.png,,,no image,\n"
)
ROWS = [
    Prediction("a.png", 0.5, False, category="nut"),
    Prediction("b.png", 2.25, True, is_known_category=False),
    Prediction("c.png", error="no image"),
]


def cells(table):
    return [cells for _, cells in table.rows]


@pytest.fixture
def results(tmp_path):
    return ResultFolder(str(tmp_path / "out"))


def test_parts_of_files_are_as_the_table_of_predict(results, tmp_path):
    # The names of parts say nothing of their order.
    results.write_part("1", ROWS[1:])
    results.write_part("2", ROWS[:1])
    (tmp_path / "scores.csv").write_text(CSV)
    found = read_table(tmp_path / "out", NEEDED, ALSO)
    expected = read_table(tmp_path, NEEDED, ALSO)
    assert cells(found) == cells(expected)
    assert [number for number, _ in found.rows] == [1, 2, 3]
    assert (found.unit, expected.unit) == ("row", "line")
    one = read_table(tmp_path / "out" / "part-2.parquet", NEEDED, ALSO)
    assert cells(one) == cells(expected)[:1]


def test_parts_of_tables_are_in_the_order_of_those(results, tmp_path):
    for name, path, begins in (
        ("1", "x", ("tuesday.parquet", 0)),
        ("2", "z", ("monday.parquet", 100)),
        ("3", "y", ("monday.parquet", 20)),
    ):
        results.write_part(name, [Prediction(path, 1.0)], begins)
    found = cells(read_table(results.place, NEEDED, ALSO))
    assert [row["path"] for row in found] == ["y", "z", "x"]


def test_files_of_others_come_as_they_are(tmp_path):
    pandas = pytest.importorskip("pandas")
    for name, paths in (("b.pq", ["d", "c"]), ("a.PARQUET", ["b", "a"])):
        frame = pandas.DataFrame({"path": paths, "anomaly_score": [1, 2]})
        frame.assign(category=pandas.Categorical(["nut", None]))[
            frame.anomaly_score > 0
        ].set_index(pandas.Index([5, 3])).to_parquet(tmp_path / name)
    (tmp_path / "_notes.parquet").write_bytes(b"")
    table = read_table(tmp_path, NEEDED, ALSO, others_allowed=False)
    assert table.columns == ("path", "anomaly_score", "category")
    assert [row["path"] for row in cells(table)] == ["b", "a", "d", "c"]
    assert [row["category"] for row in cells(table)] == ["nut", "", "nut", ""]


def test_an_address(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    place = "memory://bucket/scores"
    results = ResultFolder(place)
    try:
        results.write_part("1", ROWS)
        whole = read_table(place, NEEDED, ALSO)
        one = read_table(f"{place}/part-1.parquet", NEEDED, ALSO)
        assert cells(whole) == cells(one)
        assert [row["path"] for row in cells(whole)] == ["a.png", "b.png", "c.png"]
        with pytest.raises(FileNotFoundError, match="no Parquet file at 'memory:"):
            read_table("memory://bucket", NEEDED, ALSO)
    finally:
        fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_a_scoring_that_has_not_ended_is_said(results, tmp_path):
    results.write_part("1", ROWS)
    results.note_attempt("2", {"begun": 1})
    with pytest.warns(UserWarning, match=r"Not all images of '.*out' are scored yet"):
        assert len(read_table(results.place, NEEDED, ALSO).rows) == 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a"]}, "the columns path, and no column anomaly_score"),
        ({"path": ["a"], "anomaly_score": [[1]]}, "'anomaly_score' of .* is of list"),
        ({"path": [b"a"], "anomaly_score": [1]}, "'path' of .* is of binary"),
        ({"path": ["a"], "anomaly_score": [1], "x": [2]}, r"unknown column \('x'\)"),
    ],
)
def test_tables_of_something_else_are_refused(columns, message, tmp_path):
    file = tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), file)
    with pytest.raises(ValueError, match=message):
        read_table(file, NEEDED, ALSO, others_allowed=False)


def test_what_can_not_be_read_is_refused(results, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no scores\.csv .* and no Parquet"):
        read_table(tmp_path, NEEDED, ALSO)
    with pytest.raises(FileNotFoundError, match="There is no table '.*gone.parquet'"):
        read_table(tmp_path / "gone.parquet", NEEDED, ALSO)
    results.write_part("1", ROWS)
    (tmp_path / "out" / "scores.csv").write_text(CSV)
    with pytest.raises(ValueError, match=r"has scores\.csv and 1 Parquet files"):
        read_table(tmp_path / "out", NEEDED, ALSO)
    file = tmp_path / "out" / "part-1.parquet"
    content = file.read_bytes()
    for damaged in (b"", b"PAR1", content[:-20], content[:40] + b"x" * 400):
        (tmp_path / "damaged.parquet").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"damaged\.parquet' can't be read as a"):
            read_table(tmp_path / "damaged.parquet", NEEDED, ALSO)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"table of Parquet, .* `pip install pyarrow"):
        read_table(file, NEEDED, ALSO)
