"""Tables of scores that are read as they were meant, or refused in a sentence."""

import csv
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.evaluation.drift.scored_row import ScoredRow
from keras_rlr.evaluation.drift.scores_table import ScoresTable

pytestmark = pytest.mark.backend_independent

HEAD = "path,anomaly_score,is_anomalous,error,category,comparable_score\n"


def written(tmp_path, content, name="scores.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_rows_of_several_tables_and_folders(tmp_path):
    file = written(
        tmp_path,
        HEAD + '"a,\nb.png",1.5,true,,nut,0.1\nc.png,,,"no, image",,\n'
        "d.png,nan,,,(unknown),\n",
    )
    plain = written(
        tmp_path, b"\xef\xbb\xbfanomaly_score,path\r\n2,e\xff.png\r\n", "x.csv"
    )
    table = ScoresTable.read([tmp_path, plain])
    assert table == ScoresTable.read([str(file), plain]) or math.isnan(
        table.rows[1].score
    )
    assert table.names_products
    assert table.rows[0] == ScoredRow("a,\nb.png", 1.5, "", "nut")
    assert [row.is_scored for row in table.rows] == [True, False, False, True]
    assert table.rows[1].error == "no, image"
    assert table.rows[2].category == "(unknown)"
    assert table.rows[3] == ScoredRow("e\udcff.png", 2.0)
    assert not ScoresTable.read([plain]).names_products


def test_an_image_that_is_in_twice_counts_once(tmp_path):
    file = written(tmp_path, HEAD + "a.png,1.5,,,nut,0.1\nb.png,,,broken,,\n")
    once = ScoresTable.read([file])
    assert (len(once.rows), once.notes) == (2, ())
    (tmp_path / "link").symlink_to(tmp_path)
    for other in (file, tmp_path, tmp_path / "link"):
        twice = ScoresTable.read([file, other])
        assert [row.path for row in twice.rows] == ["a.png", "b.png"]
        assert twice.notes == (
            "Of all tables 2 rows have the path, the score and all else of an earlier "
            "row: each image counts once. The first is 'a.png'. A table may have been "
            "given twice.",
        )
    # Of another day there are images of the same names.
    next_day = written(tmp_path, "path,anomaly_score\na.png,2\n", "x.csv")
    found = ScoresTable.read([file, next_day])
    assert (len(found.rows), found.notes) == (3, ())
    # In one table there should be none.
    content = "path,anomaly_score\na.png,2\na.png,3\nb.png,1\na.png,2\n"
    found = ScoresTable.read([written(tmp_path, content, "y.csv")])
    assert [row.score for row in found.rows] == [2, 3, 1]
    of_scores, of_rows = found.notes
    assert of_scores.startswith(f"Of '{tmp_path / 'y.csv'}' 1 row has the path of an")
    assert of_rows.startswith("Of all tables 1 row has the path, the score")


def test_of_parquet_too(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = [f"{i}.png" for i in range(5)]
    table = pyarrow.table({"path": names, "anomaly_score": [0.5, 1, 2, None, 3]})
    for name in ("part-1.parquet", "copy of part-1.parquet"):
        (tmp_path / "out").mkdir(exist_ok=True)
        parquet.write_table(table, tmp_path / "out" / name)
    for places in (
        [tmp_path / "out"],
        [tmp_path / "out" / "part-1.parquet"] * 2,
        [tmp_path / "out", tmp_path / "out" / "part-1.parquet"],
    ):
        found = ScoresTable.read(places)
        assert [row.path for row in found.rows] == names
        assert found.notes[0].startswith(("Of all tables 5 ", "Of all tables 10 "))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty. Expected a table with commas between path and"),
        ("path,score\na,1\n", "the columns path, score, and no column anomaly_score"),
        ("path;anomaly_score\na;1\n", "table with commas"),
        (HEAD, "has no rows"),
        ("path,anomaly_score\na,high\n", "Line 2 of .*'high' is no number"),
        ("path,anomaly_score,sharpness\na,1,x\n", "the sharpness 'x' is no number"),
        ("path,anomaly_score\na,1\nb\n", "Line 3 of .* has 1 cells where"),
        ("path,path,anomaly_score\na,a,1\n", "'path' more than once"),
        ('path,anomaly_score\n"a,1\n', "is no CSV table: line 2"),
        (b"PAR1\x00\x15\x04\x15", "no column path"),
        ("path,anomaly_score\n" + "a" * 2000000 + ",1\n", "is no CSV table: line 2"),
    ],
)
def test_broken_tables_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        ScoresTable.read([written(tmp_path, content)])


def test_no_table(tmp_path):
    for place in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(FileNotFoundError, match="keras-rlr predict"):
            ScoresTable.read([place])


# Python 3.11 writes carriage returns without quotes, which no reader understands.
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r"),
    min_size=1,
    max_size=6,
)


@given(
    st.lists(
        st.tuples(NAMES, st.floats(allow_nan=False)),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_what_was_written_is_read(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("table") / "scores.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([("path", "anomaly_score"), *rows])
    assert [(r.path, r.score) for r in ScoresTable.read([file]).rows] == rows


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("table") / "scores.csv"
    file.write_bytes(b"path,anomaly_score\n" + content)
    try:
        assert ScoresTable.read([file]).rows
    except ValueError as error:
        assert str(file) in str(error)
