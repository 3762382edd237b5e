import pytest

from keras_rlr.training.run_folder import RunFolder, run_settings, source_images

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def run(tmp_path):
    """A run of two epochs, begun with these settings."""
    run = RunFolder(tmp_path / "run")
    settings = run_settings({"levels": (2, 3), "epochs": 5, "seed": None}, run, False)
    run.write_json(run.config, {"settings": settings})
    run.write_history(
        [{"epoch": i + 1, "loss": 0.1 + i, "seconds": 1.0} for i in range(2)]
    )
    return run


def test_what_was_not_chosen_is_left_out(tmp_path):
    settings = run_settings({"epochs": None}, RunFolder(tmp_path), False)
    assert settings == {"seed": 0, "calibration_fraction": 0.1}


def test_a_resumed_run_keeps_its_settings(run):
    expected = {
        "seed": 0,
        "calibration_fraction": 0.1,
        "levels": [2, 3],
        "epochs": 5,
    }
    assert run_settings({"seed": None}, run, True) == expected
    assert run_settings({"levels": (2, 3), "seed": 0}, run, True) == expected
    assert run_settings({"epochs": 9}, run, True) == {**expected, "epochs": 9}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"levels": (3,)}, r"begun with levels \[2, 3\], not \[3\]"),
        ({"backbone": "efficientnet_b0"}, "backbone 'left to the preset'"),
        ({"epochs": 1}, "already has 2 epochs. Received 1"),
    ],
)
def test_a_resumed_run_refuses_others(run, given, message):
    with pytest.raises(ValueError, match=message):
        run_settings(given, run, True)


def test_a_run_is_never_overwritten(run):
    with pytest.raises(FileExistsError, match=r"already holds a run.*--resume"):
        run_settings({}, run, False)


def test_there_must_be_something_to_resume(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run to resume"):
        run_settings({}, RunFolder(tmp_path), True)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="no valid JSON"):
        run_settings({}, RunFolder(tmp_path), True)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="not the file of a training run"):
        run_settings({}, RunFolder(tmp_path), True)


def test_an_output_that_is_a_file(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file"):
        run_settings({}, RunFolder(tmp_path / "run"), False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "`epochs` must be at least 1. Received: 0"),
        ({"batch_size": -1}, "`batch_size` must be at least 1"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be above 0"),
        ({"learning_rate": float("inf")}, "`learning_rate` must be above 0"),
        ({"seed": -1}, "`seed` must be at least 0"),
    ],
)
def test_refuses_numbers_that_make_no_sense(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        run_settings(given, RunFolder(tmp_path), False)


def test_the_history_comes_back_as_it_was_written(run):
    assert run.read_history() == [
        {"epoch": 1, "loss": 0.1, "seconds": 1.0},
        {"epoch": 2, "loss": 1.1, "seconds": 1.0},
    ]


def test_discarding_leaves_what_is_not_the_runs(run):
    (run.path / "notes.txt").write_text("mine")
    run.discard()
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]


def test_a_source_of_anomalies_says_what_it_leaves_out(tmp_path):
    for name in ("a.png", "out/overlays/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    record = tmp_path / "out" / ".keras_rlr_predict.json"
    record.write_text('{"files": ["overlays/a.png"]}')
    with pytest.warns(UserWarning, match="1 result of an earlier prediction"):
        pictures, _ = source_images(tmp_path)
    assert pictures.paths == [tmp_path / "a.png"]
