from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from keras_rlr.batch import score_images
from keras_rlr.batch.result_folder import ResultFolder
from keras_rlr.evaluation.prediction import Prediction
from tests.batch.lakes import MODEL

pytestmark = pytest.mark.backend_independent

ROWS = [
    Prediction("a.png", 0.5, False, category="nut"),
    Prediction("b.png", 2.5, True, category="nut", comparable_score=4.0),
    Prediction("c.png", 3.5, True, is_known_category=False),
    Prediction("d.png", error="it is empty", category="nut"),
]


@pytest.fixture
def results(tmp_path):
    results = ResultFolder(str(tmp_path / "out"))
    results.prepare({"model": "m", "images": "i"})
    return results


def test_the_columns(results):
    results.write_part("one", ROWS)
    table = pq.read_table(results.place)
    assert {
        name: str(table.schema.field(name).type) for name in table.column_names
    } == {
        "path": "string",
        "anomaly_score": "float",
        "is_anomalous": "bool",
        "error": "string",
        "category": "string",
        "comparable_score": "float",
        "brightness": "float",
        "sharpness": "float",
    }
    assert table["error"].to_pylist() == ["", "", "", "it is empty"]
    assert table["category"].to_pylist() == ["nut", "nut", "(unknown)", "nut"]


def test_what_it_counts(results):
    assert results.count().images == 0 and results.image_names() == set()
    results.write_part("one", ROWS)
    results.write_part("two", [Prediction("e.png", 1.0)])
    counts = results.count()
    assert (counts.images, counts.names, counts.failed) == (5, 5, 1)
    assert counts.first_error == "it is empty"
    assert counts.categories == {"nut": [2, 1], "(unknown)": [1, 1], None: [1, 0]}
    assert results.part_names() == {"one", "two"} and results.has_part("one")
    assert results.image_names() == {f"{letter}.png" for letter in "abcde"}


def test_results_of_another_model_are_not_mixed(results):
    # As long as nothing was scored, anything may be changed.
    results.prepare({"model": "other", "images": "i"})
    results.write_part("one", ROWS)
    results.prepare({"model": "other", "images": "i"})
    with pytest.raises(ValueError, match=r"made with another model\. Choose another"):
        results.prepare({"model": "m", "images": "i"})
    with pytest.raises(ValueError, match="another model and another images"):
        results.prepare({"model": "m", "images": "j"})


def test_two_do_not_score_into_one_folder(results, tmp_path):
    pytest.importorskip("fcntl")
    results.write_model(b"of the first")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    with ResultFolder(results.place).lock():
        with pytest.raises(FileExistsError, match="is scoring images into .*--output"):
            score_images(MODEL, tmp_path / "a.png", results.place)
        assert Path(results.place, "_work/model.keras").read_bytes() == b"of the first"
    assert not Path(results.place, ".lock").exists()
    assert not list(ResultFolder("memory://of/all").part_names())
    with ResultFolder("memory://of/all").lock():  # where there are no locks
        pass


def test_a_folder_that_can_t_be_written(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="--output"):
        ResultFolder(str(tmp_path / "file")).prepare({})
    assert (tmp_path / "file").read_text() == "mine"


def test_damaged_settings_are_said(results):
    results._write("_settings.json", b"{")
    with pytest.raises(ValueError, match=r"_settings\.json' is damaged"):
        results.prepare({})


def test_a_part_that_can_t_be_written_leaves_nothing(results, monkeypatch, tmp_path):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        results.write_part("one", ROWS)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["_settings.json"]
