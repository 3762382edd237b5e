"""What the command line understands and refuses, without any model."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_rlr
from keras_rlr.cli.evaluate import command as evaluate_command
from keras_rlr.cli.options import NAMES, WHOLE_NUMBERS
from keras_rlr.cli.progress import format_seconds
from keras_rlr.cli.train import command as train_command
from tests.run_command import run

pytestmark = pytest.mark.backend_independent

COMMANDS = [
    *(
        "benchmark",
        "calibrate",
        "datasets",
        "demo",
        "evaluate",
        "export",
        "import-checkpoint",
        "info",
    ),
    *("monitor", "predict", "train"),
]


def options_of(command):
    return {name for parameter in command.params for name in parameter.opts}


def test_help_lists_every_command_with_its_own_first_line():
    text = run("--help").output
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name
        assert "Usage: " in run(name, "--help").output


def test_version():
    assert run("--version").output == f"keras-rlr, version {keras_rlr.__version__}\n"


def test_the_options_that_others_build_on():
    assert options_of(train_command) >= {
        *("--data", "--output", "--categories", "--preset", "--backbone", "--levels"),
        *("--backbone-weights", "--hidden-dims", "--standardize-features"),
        *("--fuse-levels", "--coreset-ratio"),
        *("--noise-scale", "--recipe", "--epochs", "--batch-size", "--learning-rate"),
        *("--seed", "--calibration-fraction", "--distribution", "--resume"),
        *("--dataset", "--data-dir"),
    }
    assert options_of(evaluate_command) >= {
        *("--data", "--dataset", "--data-dir", "--model", "--output", "--json"),
        *("--train", "--protocol"),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Give either --data with a folder or --dataset"),
        (("--data", "a", "--dataset", "visa"), "Give either --data"),
        (("--data", "a", "--data-dir", "b"), "--data-dir belongs to --dataset"),
        (
            ("--dataset", "mnist"),
            "'mnist' in the catalogue. Choose from: mvtec_ad, visa",
        ),
        (("--dataset", "visa"), "by `keras-rlr datasets prepare visa`"),
    ],
)
@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_where_the_data_is(name, options, message, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = run(name, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["lake.parquet", "LAKE.PQ"])
def test_a_parquet_file_needs_another_engine(tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1")
    result = run("predict", tmp_path / name, "--model", tmp_path)
    assert result.exit_code == 2
    message = f"'{tmp_path / name}' is a Parquet file: add --engine ray."
    assert message in " ".join(result.stderr.split())


def test_an_unknown_command_is_wrong_use():
    result = run("trian")
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.stderr


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1))
def test_lists_of_numbers_come_back(numbers):
    text = " , ".join(map(str, numbers))
    assert WHOLE_NUMBERS.convert(text, None, None) == tuple(numbers)


@given(st.lists(st.from_regex(r"\w[\w ,\"'.-]*\w", fullmatch=True), min_size=1))
def test_lists_of_names_come_back(names):
    text = io.StringIO()
    csv.writer(text).writerow(names)  # in quotes where a name needs them
    written = text.getvalue().strip()
    assert NAMES.convert(written, None, None) == tuple(names)
    if not any("," in name for name in names):
        assert NAMES.convert(", ".join(names), None, None) == tuple(names)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--levels", "a,b", "'a,b' is no list of levels such as 2,3"),
        ("--levels", "2,", "'2,' is no list of levels such as 2,3"),
        ("--levels", "6-3", "'6-3' is no list of levels such as 2,3"),
        ("--hidden-dims", "2.5", "'2.5' is no list of whole numbers"),
        ("--categories", "a,,b", "'a,,b' is no list of names"),
        ("--categories", '"a,b', "'\"a,b' is no list of names"),
        ("--categories", "", "'' is no list of names"),
        ("--epochs", "-1", "-1 is not in the range x>=1"),
        ("--epochs", "many", "'many' is not a valid integer"),
        ("--batch-size", "0", "0 is not in the range x>=1"),
        ("--learning-rate", "0", "0.0 is not in the range x>0"),
        ("--noise-scale", "-1", "-1.0 is not in the range x>=0"),
        ("--seed", "-1", "-1 is not in the range x>=0"),
        ("--calibration-fraction", "1", "1.0 is not in the range 0<=x<1"),
        ("--recipe", "quick", "'quick' is not one of"),
        ("--speed", "9", "No such option"),
    ],
)
def test_bad_values_are_wrong_use(tmp_path, option, value, message):
    result = run(
        "train", "--data", tmp_path, "--output", tmp_path / "run", option, value
    )
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (150, "2 min"),
        (3599, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_times_as_people_say_them(seconds, text):
    assert format_seconds(seconds) == text
