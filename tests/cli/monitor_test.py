import json

import keras
import numpy as np
import pytest

from tests.run_command import run
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

pytestmark = pytest.mark.backend_independent

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = tiny_model(**ONE_LEVEL)
    path = tmp_path_factory.mktemp("run") / "model.keras"
    model.save(path)
    result = run("monitor", scores_file(path.parent, [1.0]), "--model", path)
    assert result.exit_code == 2
    assert "The model keeps no scores of its calibration" in result.stderr
    model.calibrate(random_images(40), false_positive_rate=0.1)
    model.save(path)
    return path


def scores_file(folder, scores):
    lines = [f"{i}.png,{score!r},false," for i, score in enumerate(scores)]
    text = "\n".join(["path,anomaly_score,is_anomalous,error", *lines])
    (folder / "scores.csv").write_text(text + "\n")
    return folder / "scores.csv"


@pytest.fixture(scope="module")
def usual(model):
    return keras.saving.load_model(model).thresholds.calibration_scores.of(None)


def test_the_scores_of_calibration_are_saved(usual):
    found = tiny_model(**ONE_LEVEL).predict(random_images(40), verbose=0)
    np.testing.assert_allclose(usual, np.sort(found["anomaly_score"]), rtol=1e-3)


@pytest.mark.parametrize("drifts", [False, True])
def test_drift_or_none(model, usual, drifts, tmp_path):
    scores = RANDOM.permutation(np.r_[usual, usual]).tolist()
    if drifts:
        scores = [1.5 * score for score in scores]
    file = scores_file(tmp_path, scores)
    words = ("monitor", file, "--model", model, "--output", tmp_path / "out")
    result = run(*words, "--json", "--fail-on-drift")
    assert result.exit_code == (3 if drifts else 0), result.stderr
    facts = json.loads(result.stdout)
    assert list(facts) == ["drift", "windows"]
    assert facts["drift"] is drifts
    assert len(facts["windows"]) == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("metrics.prom", "monitor.html"),
    ]
    result = run(*words)
    assert result.exit_code == 0
    assert ("DRIFT" in result.stdout) is drifts
    assert ("No drift" in result.stdout) is not drifts


def test_a_lamp_that_fades_from_images_to_advice(model, tmp_path):
    images = random_images(40, seed=7).astype("float32")
    for folder, light in (("usual", 1.0), ("faded", 0.6)):
        (tmp_path / folder).mkdir()
        for i, image in enumerate((light * images).astype("uint8")):
            keras.utils.save_img(tmp_path / folder / f"{i:03d}.png", image, scale=False)
        result = run(
            "predict", tmp_path / folder, "--model", model,
            "--output", tmp_path / f"{folder}_out",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
    words = ("monitor", "--model", model, "--window", 40)
    result = run(*words, tmp_path / "usual_out")
    assert "No drift" in result.stdout, result.stderr
    result = run(*words, tmp_path / "faded_out")
    assert "40 % darker than in calibration: look at the lamp" in result.stdout


def test_a_broken_table_is_refused_and_nothing_written(model, tmp_path):
    (tmp_path / "scores.csv").write_text("path,anomaly_score\na,b\n")
    result = run("monitor", tmp_path, "--model", model, "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "'b' is no number" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_call_that_judges_nothing_leaves_no_older_result(model, usual, tmp_path):
    output = tmp_path / "out"
    words = ("monitor", tmp_path, "--model", model, "--output", output)
    for tables in (["path,anomaly_score", "a.png,1.0"], ["no table"], None):
        scores_file(tmp_path, (3 * np.r_[usual, usual]).tolist())
        assert run(*words).exit_code == 0
        assert "keras_rlr_drift 1\n" in (output / "metrics.prom").read_text()
        (output / "mine.txt").touch()
        (tmp_path / "scores.csv").unlink()
        if tables:
            (tmp_path / "scores.csv").write_text("\n".join(tables))
        result = run(*words, "--json")
        assert (result.exit_code, result.stdout) == (2, "")
        assert [file.name for file in output.iterdir()] == ["mine.txt"]
        for name in ("monitor.html", "metrics.prom"):
            assert f"'{output / name}' of an earlier call was removed" in result.stderr


def test_a_table_given_twice_is_one(model, usual, tmp_path):
    file = scores_file(tmp_path, RANDOM.permutation(usual).tolist())
    once = run("monitor", file, "--model", model, "--json")
    twice = run("monitor", file, tmp_path, "--model", model, "--json")
    assert once.exit_code == twice.exit_code == 0, twice.stderr
    assert twice.stdout == once.stdout
    assert f"Of all tables {len(usual)} rows have the path" in twice.stderr
