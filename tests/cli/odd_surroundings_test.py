"""Odd names, consoles, homes and folders: no result is lost to them."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fresh_process import run_fresh, start_command
from tests.run_command import run

pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[2]
SAVED = ROOT / "tests" / "saved" / "rlr_0_1.keras"
NAMES = ["$a$b", "_hidden", "[red]", "$\\frac{", ":smile:", "mean", "ß×–"]


def write_data(folder, names):
    generator = np.random.default_rng(0)
    for name in names:
        for part in ("train/good", "test/good", "test/dent"):
            path = folder / name / part
            path.mkdir(parents=True)
            for i in range(2):
                pixels = generator.integers(0, 256, (32, 32, 3), "uint8")
                Image.fromarray(pixels).save(path / f"{i}.png")
        masks = folder / name / "ground_truth" / "dent"
        masks.mkdir(parents=True)
        for i in range(2):
            mask = np.zeros((32, 32), "uint8")
            mask[4:9, 4:9] = 255
            Image.fromarray(mask).save(masks / f"{i}_mask.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), ["bolt", "ß×–"])


@pytest.fixture
def model(tmp_path):
    return shutil.copy(SAVED, tmp_path / "model.keras")


def test_any_name_of_a_category_is_evaluated_and_shown(model, tmp_path):
    data = write_data(tmp_path / "data", NAMES)
    if os.name == "posix":
        # Bytes that are no UTF-8, as an old archive has them.
        os.rename(os.fsencode(data / "mean"), os.fsencode(data) + b"/caf\xe9")
        write_data(data, ["mean"])
    output = tmp_path / "results"
    words = ("evaluate", "--data", data, "--model", model, "--output", output)
    environment = {"PYTHONIOENCODING": "utf-8:strict"}
    result = start_command(*words, environment=environment).wait()
    assert result.returncode == 0, result.stderr
    for name in [*NAMES, "caf\\xe9"]:
        assert name in result.stdout
    page = (output / "report.html").read_text(encoding="utf-8")
    assert ">$a$b</h3>" in page
    with (output / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row["category"] for row in csv.DictReader(file)]
    assert sorted(set(NAMES) - set(rows)) == []
    # The category of that name, and the mean of all.
    assert rows.count("mean") == 2


def test_figures_are_written_before_the_page(model, data, tmp_path, monkeypatch):
    def broken(*args):
        return 1 / 0

    monkeypatch.setattr("keras_rlr.evaluation.report.curves.curves_figure", broken)
    output = tmp_path / "results"
    result = run("evaluate", "--data", data, "--model", model, "--output", output)
    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.stderr
    assert "pooled" in result.stdout
    assert "bolt" in json.loads((output / "metrics.json").read_text())["categories"]
    assert (output / "metrics.csv").is_file()
    assert not (output / "report.html").exists()


NAMELESS = """
import pwd

def no_such_user(uid):
    raise KeyError(uid)

pwd.getpwuid = no_such_user
import keras_rlr_command
keras_rlr_command.main()
"""


# How a category's name is shown by a console that has no such characters.
SHOWN = {"ascii": "\\xdfx-", "cp1252:strict": "ß×–"}


@pytest.mark.parametrize(
    ("home", "encoding"), [(None, "ascii"), ("/proc/no_such_home", "cp1252:strict")]
)
def test_without_a_home_and_on_another_console(home, encoding, data, model, tmp_path):
    """As in a container whose user has no name, or none that may write there."""
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "USER")}
    environment.pop("KERAS_HOME", None)
    environment.update(PYTHONIOENCODING=encoding, PYTHONPATH=str(ROOT))
    here = tmp_path / "here"
    here.mkdir()
    words = ("evaluate", "--data", data, "--model", model, "--output", tmp_path / "out")
    result = subprocess.run(
        [sys.executable, "-c", NAMELESS, *map(str, words)],
        cwd=here,
        env={**environment, **({"HOME": home} if home else {})},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    shown = result.stdout.decode(encoding.split(":")[0])
    assert "bolt" in shown and "pooled" in shown and SHOWN[encoding] in shown
    assert (tmp_path / "out" / "report.html").is_file()
    assert list(here.iterdir()) == []


def test_a_folder_that_can_not_be_written_to_is_refused_before_the_work(data, model):
    """`/proc` takes no files, from root neither."""
    output = "/proc/results"
    decoder = ("decoder", "train", "--data", data, "--model", model)
    for words in (
        ("evaluate", "--data", data, "--model", model, "--output", output),
        ("train", "--data", data, "--output", output),
        ("demo", "--output", output),
        (*decoder, "--output", f"{output}/decoder.keras"),
    ):
        result = run(*words)
        assert result.exit_code == 2, words
        assert "Nothing can be written to '/proc" in result.stderr
        assert "Choose another place with --output" in result.stderr


def test_beside_a_model_that_is_read_only_the_figures_are_printed(
    data, model, monkeypatch
):
    def refuse(folder):
        raise PermissionError(f"Nothing can be written to '{folder}' (Read-only).")

    monkeypatch.setattr("keras_rlr.atomic_file.check_writable", refuse)
    result = run("evaluate", "--data", data, "--model", model)
    assert result.exit_code == 0, result.stderr
    assert "pooled" in result.stdout
    assert "The figures are printed only." in result.stderr
    assert not (Path(model).parent / "evaluation").exists()


UNREAD = """
import os, sys
reader, writer = os.pipe()
os.close(reader)
sys.stdout = open(writer, "w")
import keras_rlr_command
keras_rlr_command.main()
"""


def test_a_reader_that_goes_away_is_no_error(model):
    stderr = run_fresh(UNREAD, "info", "--model", model).stderr
    assert "Backend" in stderr
    assert "Error" not in stderr and "Traceback" not in stderr
