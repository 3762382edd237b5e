import json
import shutil

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_rlr.datasets import read_image, write_procedural_dataset
from keras_rlr.training import train
from keras_rlr.training.feedback import Feedback, folder_of_table
from keras_rlr.training.learn_feedback import learn_feedback
from tests.datasets.layouts.write_files import write_image
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


def table(folder, *rows, head="path,verdict"):
    file = folder / "scores.csv"
    file.write_text("\n".join([head, *rows]) + "\n")
    return file


def test_verdicts_in_the_table_of_predict(tmp_path):
    for name in "abc":
        write_image(tmp_path, f"{name}.png")
    file = table(
        tmp_path,
        "a.png,0.5,true,,Normal ,nut",
        "b.png,0.1,false,,,nut",
        f"{tmp_path}/c.png,0.2,false,,anomalous,",
        "./a.png,0.5,true,,normal,nut",
        head="path,anomaly_score,is_anomalous,error,verdict,category",
    )
    feedback = Feedback.read(file, [tmp_path])
    assert [image.path for image in feedback.normal] == ["a.png"]
    assert feedback.normal[0].category == "nut"
    assert [image.file.name for image in feedback.anomalous] == ["c.png"]
    assert feedback.unjudged == 1


def test_verdicts_in_parquet(tmp_path):
    write_image(tmp_path, "a.png")
    columns = {
        "path": ["a.png", "b.png", "a.png"],
        "anomaly_score": [0.5, 0.1, 0.5],
        "comparable_score": [1.5, None, 1.5],
        "category": ["nut", None, "nut"],
        "verdict": [" Normal", None, "normal"],
    }
    file = tmp_path / "judged.parquet"
    pq.write_table(pa.table(columns), file)
    found = Feedback.read(file, [tmp_path])
    as_csv = table(
        tmp_path, "a.png,nut, Normal", "b.png,,", "a.png,nut,normal",
        head="path,category,verdict",
    )  # fmt: skip
    assert found == Feedback.read(as_csv, [tmp_path])
    assert (len(found.normal), found.unjudged) == (1, 1)
    columns["verdict"][1] = "fine"
    pq.write_table(pa.table(columns), file)
    with pytest.raises(ValueError, match="1 of 3 verdicts .*'fine' in row 2"):
        Feedback.read(file, [tmp_path])


@pytest.mark.parametrize(
    ("head", "rows", "message"),
    [
        ("path,label", ["a.png,normal"], "and no column verdict"),
        ("path,verdict,note", ["a.png,normal,x"], r"1 unknown column \('note'\)"),
        ("path,verdict,path", ["a.png,normal,a"], "column 'path' more than once"),
        ("path,verdict", ["a.png,fine", "a.png,normal"], "1 of 2 verdicts .*'fine' in"),
        ("path,verdict", ["a.png,normal", "x.png,normal"], r"1 of 2 .*x.png \(line 3"),
        ("path,verdict", ["a.png,normal", "a.png,anomalous"], "Leave one row"),
        ("path,verdict", ["a.png,"], "has no verdict"),
        ("path,verdict", ["a.png"], "has 1 cells where the first line has 2"),
        ("path,verdict", ['"a.png,normal'], "is no CSV table: line 2"),
    ],
)
def test_refusals(tmp_path, head, rows, message):
    write_image(tmp_path, "a.png")
    file = table(tmp_path, *rows, head=head)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Feedback.read(file, [tmp_path])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data", image_size=64,
        train_per_category=12, test_normal=4, test_anomalous=3,
        categories=["gear", "wood"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.warns(UserWarning, match="too few for a false-positive rate"):
        train(
            data, folder, method="patchcore", backbone="efficientnet_lite2",
            levels=(2,), image_size=48, coreset_ratio=0.05, calibration_fraction=0.5,
        )  # fmt: skip
    return folder


def test_calibrate_with_feedback(folder, data, tmp_path):
    images = tmp_path / "line"
    shutil.copytree(data / "gear/test/good", images / "gear")
    defects = sorted(p for p in (data / "gear/test").rglob("*.png") if "good" not in
                     p.parts)  # fmt: skip
    for i, file in enumerate(defects):
        shutil.copy(file, images / f"gear/missed_{i}.png")
    rows = [
        *("gear/000.png,normal", "gear/001.png,normal"),
        *(f"gear/missed_{i}.png,anomalous" for i in range(3)),
    ]
    file = table(tmp_path, *rows)
    words = (
        "calibrate", "--model", folder, "--data", data, "--false-positive-rate", 0.2,
    )  # fmt: skip
    plain = json.loads(run(*words, "--json").stdout)
    result = run(*words, "--feedback", file)
    assert result.exit_code == 2
    assert "5 of 5 images" in result.stderr
    words = (*words, "--feedback", file, "--feedback-images", images)
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    told = facts["feedback"]
    assert facts["images"] == plain["images"] + 2
    assert (told["joined"], told["left_out"], told["normal"]) == (2, 0, 2)
    model = keras.saving.load_model(folder / "model.keras")
    assert model.threshold == facts["threshold"]
    # The two joined the scores of their product.
    scores = model.thresholds.calibration_scores
    assert len(scores.of("gear")) == 6 + 2
    assert told["anomalous"] == 3
    assert told["found"] == sum(image["found"] for image in told["images"])
    for image in told["images"]:
        assert image["found"] == (
            image["anomaly_score"] >= np.float32(model.thresholds.of("gear"))
        )
        assert image["found"] == (image["false_positive_rate"] <= 0.2)
    config = json.loads((folder / "config.json").read_text())
    assert config["calibration"] == facts
    result = run(*words)
    assert "Images marked normal: 2; 2 of them joined" in result.stdout
    assert "Images marked anomalous: 3" in result.stdout
    # Of --data itself anomalous images are left out, and normal ones count once.
    table(tmp_path, "gear/missed_0.png,anomalous", "gear/000.png,normal")
    result = run(
        "calibrate", "--model", folder, "--data", images, "--false-positive-rate", 0.3,
        "--feedback", file, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["images"] == 4 + 3 - 1
    assert (facts["feedback"]["joined"], facts["feedback"]["left_out"]) == (0, 1)


@pytest.fixture(scope="module")
def line(data, tmp_path_factory):
    """Images of production, of which two are normal gears and two anomalous ones."""
    images = tmp_path_factory.mktemp("line")
    shutil.copytree(data / "gear/test/good", images / "gear")
    shutil.copy(data / "wood/test/good/000.png", images / "loose.png")
    defects = sorted((data / "gear/test").glob("[!g]*/*.png"))
    for i, file in enumerate(defects[:2]):
        shutil.copy(file, images / f"gear/missed_{i}.png")
    return images


MARKED = [
    *("gear/000.png,normal", "gear/001.png,normal", "gear/002.png,normal"),
    *("gear/missed_0.png,anomalous", "gear/missed_1.png,anomalous", "gear/003.png,"),
]


def test_a_run_learns_false_alarms(folder, data, line, tmp_path):
    place = shutil.copytree(folder, tmp_path / "run")
    file = table(line, *MARKED)
    words = ("train", "--feedback", file, "--model", place)
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    # Half of three are held out, rounded up.
    assert (facts["learned"], facts["held_out"], facts["known"]) == ({"gear": 1}, 2, 0)
    assert facts["training_images"] == 12 + 1
    assert facts["calibration"]["images"] == 12 + 2
    assert sorted(facts["categories"]) == ["gear", "wood"]
    assert facts["stored"]["before"] != facts["stored"]["after"]
    rows = facts["feedback"]
    assert [row["verdict"] for row in rows] == ["normal"] * 3 + ["anomalous"] * 2
    before, after = (
        keras.saving.load_model(path / "model.keras") for path in (folder, place)
    )
    images = [read_image(line / row["path"]) for row in rows]
    for when, model in (("before", before), ("after", after)):
        scores = model.predict(images, verbose=0)["anomaly_score"]
        told = [row[when]["anomaly_score"] for row in rows]
        np.testing.assert_allclose(told, scores, rtol=1e-4)
        assert {row[when]["threshold"] for row in rows} == {model.thresholds.of("gear")}
    # What was learned scores lower; what was missed is not in the run.
    learned = {path.name for path in (place / "feedback").rglob("*.png")}
    assert sorted(name.split("-")[0] for name in learned) == ["000", "001", "002"]
    record = (place / "images.csv").read_text()
    assert all(f"gear/train/good/{name}" in record for name in learned)
    assert "missed" not in record
    changes = json.loads((place / "config.json").read_text())["changes"]
    assert (changes[0]["learned"], changes[0]["held_out"]) == ({"gear": 1}, 2)

    # They are found again, wherever production's images and the run have gone.
    shutil.move(place, tmp_path / "moved")
    table(line, "gear/003.png,normal,gear", "loose.png,normal,wood",
          head="path,verdict,category")  # fmt: skip
    result = run(
        "train", "--feedback", file, "--model", tmp_path / "moved",
        "--output", tmp_path / "again",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert (
        "Learned images that were marked normal (1 of gear, 1 of wood)" in result.stdout
    )
    assert "Images marked normal: 2; " in result.stdout
    assert "came to the run's data" not in result.stderr
    config = json.loads((tmp_path / "again/config.json").read_text())
    assert config["data"]["training_images"] == 12 + 1 + 2
    assert [bool(part.get("feedback")) for part in config["data"]["parts"]] == [
        *(False, True),
    ]
    assert config["data"]["parts"][1]["categories"] == ["gear", "wood"]
    assert len(list((tmp_path / "again/feedback").rglob("*.png"))) == 5
    shutil.rmtree(tmp_path / "moved")
    # Once more: all of it is the run's own by now.
    result = run("train", "--feedback", file, "--model", tmp_path / "again")
    assert result.exit_code == 2
    assert "All 2 images marked normal are the run's own" in result.stderr


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (MARKED[3:], (), "No image of the feedback is marked normal"),
        (["loose.png,normal"], (), "which product 1 of 1 images marked normal show"),
        (MARKED, ("--epochs", 3), "looks at each image once"),
        (MARKED, ("--categories", "gear"), "--categories can't be given with --feed"),
        (MARKED, ("--add", "x"), "give one of the three"),
        (["gear/000.png,normal", "TRAINED,anomalous"], (), "was trained on 1 images"),
        (["gear/000.png,normal", "COPY,anomalous"], (), "and a copy of it normal"),
    ],
)
def test_what_can_not_be_learned_is_refused(folder, data, line, rows, more, message):
    record = (folder / "images.csv").read_text().splitlines()
    trained = next(row.split(",")[2] for row in record if row.startswith("training"))
    (line / "other").mkdir(exist_ok=True)
    copy = shutil.copy(line / "gear/000.png", line / "other/copy.png")
    rows = [
        row.replace("TRAINED", str(data / trained)).replace("COPY", str(copy))
        for row in rows
    ]
    before = (folder / "config.json").read_bytes()
    file = table(line, *rows)
    result = run("train", "--feedback", file, "--model", folder, *more)
    assert result.exit_code == 2, result.stdout
    assert message in result.stderr
    assert not (folder / "feedback").exists()
    assert (folder / "config.json").read_bytes() == before


def test_held_out_images_that_are_anomalous_are_left_out(folder, data, line, tmp_path):
    place = shutil.copytree(folder, tmp_path / "run")
    record = (folder / "images.csv").read_text().splitlines()
    held = next(row.split(",")[2] for row in record if row.startswith("calibration"))
    file = table(line, "gear/000.png,normal", f"{data / held},anomalous")
    with pytest.warns(UserWarning, match="1 of 12 images that thresholds were set"):
        found = learn_feedback(place, Feedback.read(file, [line]))
    assert found["config"]["calibration"]["images"] == 11
    assert found["learned"] == {"gear": 1}


def test_images_are_sought_beside_a_table_or_in_the_folder_that_it_is(tmp_path):
    file = tmp_path / "day.csv"
    file.write_text("path,verdict\n")
    assert folder_of_table(file) == folder_of_table(str(tmp_path)) == tmp_path
    with pytest.raises(ValueError, match="--feedback-images"):
        folder_of_table("s3://bucket/day")


def test_feedback_images_need_feedback(folder, data):
    result = run(
        "calibrate", "--model", folder, "--data", data, "--feedback-images", data
    )
    assert result.exit_code == 2
    assert "belongs to --feedback" in result.stderr
