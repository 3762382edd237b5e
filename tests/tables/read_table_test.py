"""Tables of Parquet are read as those of CSV, or refused in a sentence."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_rlr.batch.result_folder import ResultFolder
from keras_rlr.evaluation.drift.scores_table import ScoresTable
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
    # Each is said to be where it is found.
    places = ["row 1 of part-2.parquet", *(f"row {i} of part-1.parquet" for i in "12")]
    assert [where for where, _ in found.rows] == places
    assert [where for where, _ in expected.rows] == ["line 2", "line 3", "line 4"]
    one = read_table(tmp_path / "out" / "part-2.parquet", NEEDED, ALSO)
    assert cells(one) == cells(expected)[:1]
    assert one.rows[0][0] == "row 1"
    for name in ("_mine.parquet", ".x.PARQUET"):
        named = (tmp_path / "out" / "part-2.parquet").rename(tmp_path / "out" / name)
        assert read_table(named, NEEDED, ALSO).rows == one.rows
        assert len(read_table(tmp_path / "out", NEEDED, ALSO).rows) == 2
        named.rename(tmp_path / "out" / "part-2.parquet")


def test_parts_of_tables_are_in_the_order_of_those(results, tmp_path):
    for name, path, begins in (
        ("1", "x", ("tuesday.parquet", 0)),
        ("2", "z", ("monday.parquet", 100)),
        ("3", "y", ("monday.parquet", 20)),
    ):
        results.write_part(name, [Prediction(path, 1.0)], begins)
    found = cells(read_table(results.place, NEEDED, ALSO))
    assert [row["path"] for row in found] == ["y", "z", "x"]


@pytest.mark.parametrize("order", [0, []])
def test_no_row_is_left_out_for_what_its_order_is(order, results):
    results.write_part("1", ROWS, order)
    results.write_part("2", ROWS[:1])
    assert len(read_table(results.place, NEEDED, ALSO).rows) == 4
    results.write_part("3", ROWS[:1], {"later": 1})
    with pytest.raises(ValueError, match=r"out' says what this version does not know"):
        read_table(results.place, NEEDED, ALSO)


def test_files_without_an_order_are_counted(results, tmp_path):
    names = [character * 32 for character in "0123"]
    for name, row in zip(names, "dcba", strict=True):
        results.write_part(name, [Prediction(row, 1.0)])
    for name in names[:2]:  # As they were before.
        file = tmp_path / "out" / f"part-{name}.parquet"
        pq.write_table(pq.read_table(file).replace_schema_metadata({}), file)
    found = read_table(results.place, NEEDED, ALSO)
    assert [row["path"] for row in cells(found)] == ["d", "c", "a", "b"]
    assert found.unordered == 2
    with pytest.warns(UserWarning, match="^2 Parquet files .* by an earlier") as said:
        ScoresTable.read([results.place])
    assert len(said) == 1
    assert read_table(file, NEEDED, ALSO).unordered == 0


def test_a_folder_called_like_a_file_has_its_parts(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    folder = tmp_path / "out" / "s.parquet"
    folder.mkdir(parents=True)
    files = fsspec.filesystem("memory")
    try:
        for name in ("part.0", "part.1", "_note"):
            rows = {"path": [name], "anomaly_score": ["1"]}
            pq.write_table(pa.table(rows), folder / f"{name}.parquet")
        (folder / "_SUCCESS").touch()
        files.put(f"{tmp_path}/out", "/spark", recursive=True)
        places = [
            tmp_path / "out",
            folder,
            "memory://spark",
            "memory://spark/s.parquet",
        ]
        for place in places:
            found = read_table(place, NEEDED, ALSO)
            assert [row["path"] for row in cells(found)] == ["part.0", "part.1"]
        found = read_table(places[0], NEEDED, ALSO)
        assert found.rows[1][0] == "row 1 of s.parquet/part.1.parquet"
        files.mv("/spark/s.parquet/_note.parquet", "/spark/_note.parquet")
        named = read_table("memory://spark/_note.parquet", NEEDED, ALSO)
        assert [row["path"] for row in cells(named)] == ["_note"]
    finally:
        files.rm("/spark", recursive=True)
    (folder / "none.parquet").mkdir()
    with pytest.raises(FileNotFoundError, match="none.parquet' is called like a"):
        read_table(tmp_path / "out", NEEDED, ALSO)


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


@pytest.mark.parametrize(
    "paths",
    [
        pa.array([b"a.png"], pa.binary(5)),
        pa.array([b"a.png"]).dictionary_encode(),
    ],
    ids=["of a fixed size", "in a dictionary"],
)
def test_bytes_are_no_texts(tmp_path, paths):
    """They were read as "b'a.png'"."""
    table = pa.table({"path": paths, "anomaly_score": [0.5]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"column 'path' of .* is of .*binary"):
        read_table(tmp_path / "a.parquet", ("path", "anomaly_score"), ())
