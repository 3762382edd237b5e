import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_rlr.batch.find_lake import find_lake
from tests.batch.lakes import write_lake

pytestmark = pytest.mark.backend_independent


def write(file, **columns):
    pq.write_table(pa.table(columns), file)
    return str(file)


def test_columns_that_could_be_meant(tmp_path):
    two = write(tmp_path / "two.parquet", a=[b"x"], b=[b"y"])
    with pytest.raises(ValueError, match=r"several columns .*: a, b\. Name the one"):
        find_lake(two)
    assert find_lake(two, "b").all_parts[0].image_column == "b"
    with pytest.raises(ValueError, match=r"has no column 'c'\. It has a, b\."):
        find_lake(two, "c")
    numbers = write(tmp_path / "numbers.parquet", a=[1])
    with pytest.raises(ValueError, match="has no column of bytes"):
        find_lake(numbers)
    with pytest.raises(ValueError, match="holds neither encoded images nor paths"):
        find_lake(numbers, "a")
    texts = write(tmp_path / "texts.parquet", note=["n"], path=["/a.png"])
    assert find_lake(texts).places == {"/a.png": "/a.png"}


def test_tables_that_can_t_be_used(tmp_path):
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="can't be read as a Parquet file"):
        find_lake(str(damaged))
    empty = write(tmp_path / "empty.parquet", path=pa.array([], pa.string()))
    with pytest.raises(FileNotFoundError, match="The Parquet files are empty"):
        find_lake(empty)
    null = write(tmp_path / "null.parquet", path=["/a.png", None])
    with pytest.raises(ValueError, match="has a row without a path"):
        find_lake(null)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    write(mixed / "a.parquet", path=["/a.png"])
    write(mixed / "b.parquet", image=[b"x"])
    with pytest.raises(ValueError, match="Score them one after the other"):
        find_lake(str(mixed))


def test_an_image_that_is_named_twice_is_scored_once(tmp_path):
    twice = write(tmp_path / "twice.parquet", path=["/a.png", "/b.png", "/a.png"])
    with pytest.warns(UserWarning, match=r"1 rows name an image .*/a\.png"):
        assert find_lake(twice).count == 2


def test_places_without_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected \.png.*\.parquet files"):
        find_lake(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="There is no"):
        find_lake(str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="There is nothing at"):
        find_lake("memory://nowhere")
    with pytest.raises(ValueError, match="can't be reached"):
        find_lake("nonsense://bucket")
    folder = write_lake(tmp_path / "images", 3)
    with pytest.raises(ValueError, match="holds no Parquet files"):
        find_lake(str(folder), "image")
    assert find_lake(f"file://{folder}").places == find_lake(str(folder)).places
    one = find_lake(str(folder / "bolt" / "00.png"))
    assert list(one.places) == ["00.png"]


def test_overlays_of_an_earlier_prediction_are_no_images(tmp_path):
    import fsspec

    folder = write_lake(tmp_path / "images", 3)
    overlay = folder / "out" / "overlays" / "00.png"
    overlay.parent.mkdir(parents=True)
    overlay.write_bytes((folder / "bolt" / "00.png").read_bytes())
    record = folder / "out" / ".keras_rlr_predict.json"
    record.write_text('{"files": ["overlays/00.png"]}')
    files = fsspec.filesystem("memory")
    files.put(f"{folder}/", "/pictures/", recursive=True)
    try:
        for place in (str(folder), "memory://pictures"):
            with pytest.warns(UserWarning, match="1 result of an earlier prediction"):
                assert "out/overlays/00.png" not in find_lake(place).places
    finally:
        files.rm("/pictures", recursive=True)


def test_what_is_left_out_and_the_results_themselves(tmp_path):
    shards = tmp_path / "shards"
    for name in ("a", "_notes", "scores/part-1"):
        file = shards / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, image=[b"x"])
    (shards / "labels.xyz").write_text("")
    with pytest.warns(UserWarning) as caught:
        lake = find_lake(str(shards), output=str(shards / "scores"))
    assert [part.place for part in lake.all_parts] == [str(shards / "a.parquet")]
    (said,) = (str(one.message) for one in caught)
    assert "2 files of unknown kind" in said
    assert "labels.xyz" in said and "_notes.parquet" in said and "part-1" not in said

    import fsspec

    files = fsspec.filesystem("memory")
    files.put(f"{shards}/", "/shards/", recursive=True)
    try:
        with pytest.warns(UserWarning) as caught:
            lake = find_lake("memory://shards", output="memory://shards/scores")
        assert [part.place for part in lake.all_parts] == ["memory:///shards/a.parquet"]
        (said,) = (str(one.message) for one in caught)
        assert "labels.xyz" in said and "part-1" not in said
        # A file that is named is meant.
        for named in (shards / "_notes.parquet", "memory:///shards/_notes.parquet"):
            (part,) = find_lake(str(named)).all_parts
            assert part.place == str(named)
    finally:
        files.rm("/shards", recursive=True)
