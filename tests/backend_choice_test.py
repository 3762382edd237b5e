import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.backend_independent

MODULE = Path(__file__).parents[1] / "keras_rlr" / "backend_choice.py"
# Run apart from the package, whose import brings Keras and so decides already.
CHOOSING = """
import importlib.machinery, importlib.util, os, runpy, sys
installed = sys.argv[2].split(",")
found = importlib.machinery.ModuleSpec("backend", None)
importlib.util.find_spec = lambda name: found if name in installed else None
module = runpy.run_path(sys.argv[1])
module["choose_backend"]()
print(os.environ.get("KERAS_BACKEND"))
"""


def choose(home, installed, **environment):
    done = subprocess.run(
        [sys.executable, "-c", CHOOSING, str(MODULE), ",".join(installed)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "", "KERAS_HOME": str(home), **environment},
    )
    return done.stdout.strip(), done.stderr


def settings_file(home, backend):
    (home / "keras.json").write_text(json.dumps({"backend": backend}))


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (["torch", "jax", "tensorflow"], "tensorflow"),
        (["torch", "jax"], "jax"),
        (["torch"], "torch"),
    ],
)
def test_takes_the_first_that_is_installed(tmp_path, installed, chosen):
    assert choose(tmp_path, installed)[0] == chosen


def test_the_environment_decides(tmp_path):
    settings_file(tmp_path, "tensorflow")
    chosen, _ = choose(tmp_path, ["tensorflow", "jax"], KERAS_BACKEND="jax")
    assert chosen == "jax"


def test_the_settings_file_decides_if_it_can_be_followed(tmp_path):
    settings_file(tmp_path, "torch")
    assert choose(tmp_path, ["tensorflow", "torch"])[0] == ""
    assert choose(tmp_path, ["jax"])[0] == "jax"


def test_a_damaged_settings_file_decides_nothing(tmp_path):
    (tmp_path / "keras.json").write_text("[")
    assert choose(tmp_path, ["jax"])[0] == "jax"


def test_without_any_backend_it_says_how_to_get_one(tmp_path):
    chosen, error = choose(tmp_path, ["numpy"])
    assert chosen == ""
    assert "ImportError: No backend is installed." in error
    assert "pip install 'keras-rlr[tensorflow]'" in error
