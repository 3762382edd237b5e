"""An export that is killed leaves nothing that could be loaded and is not whole."""

import signal

import pytest

from tests.fresh_process import run_fresh

pytestmark = pytest.mark.backend_independent

# It is killed before it moves a file to its place, counted from 1.
KILLED = """
import os, signal, sys
from pathlib import Path
from keras_rlr.export.target import Target

path, format, last, *names = sys.argv[1:]
count, replace = 0, os.replace

def counted(source, target):
    global count
    count += 1
    if count == int(last):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = counted
with Target(path, format).staging() as folder:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
"""


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("openvino", ["model.xml", "model.bin"]),
        ("saved_model", ["saved_model.pb", "variables/variables.index"]),
    ],
)
def test_what_is_loaded_comes_after_what_it_refers_to(tmp_path, format, names):
    for last in (1, 2, 3):
        place = tmp_path / str(last)
        place.mkdir()
        path = place / names[0] if format == "openvino" else place
        result = run_fresh(KILLED, path, format, last, *names, "manifest.json")
        assert result.returncode == -signal.SIGKILL
        there = [name for name in names if (place / name).exists()]
        assert there == [[], names[1:], names][last - 1]
        assert not list(place.glob("*manifest.json"))
