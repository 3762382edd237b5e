"""Files that change together are all old or all new, whenever the process is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_rlr import atomic_change
from keras_rlr.atomic_change import changed_together, finish_change

pytestmark = pytest.mark.backend_independent

NAMES = ("config.json", "images.csv", "model.keras")
# The module alone, without Keras. It is killed before or after the rename of a number.
KILLED = """
import importlib.util, os, signal, sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("atomic_change", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
folder, last, after, *names = sys.argv[2:]
folder, last = Path(folder), int(last)
count, replace = 0, os.replace

def counted(source, target):
    global count
    count += 1
    if count == last and after == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
    if count == last:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = counted
with module.changed_together(folder) as place:
    for name in names:
        (place / name).write_text("new")
"""


def write(folder, text="old", names=NAMES):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(text)


def texts(folder):
    return {(folder / name).read_text() for name in NAMES}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("rename", range(1, 5))
def test_killed_at_every_rename(tmp_path, rename, when):
    folder = tmp_path / "run"
    write(folder)
    words = [atomic_change.__file__, folder, rename, when, *NAMES]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, words)], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    is_decided = (rename, when) != (1, "before")
    assert (folder / ".keras_rlr_change").is_dir() == is_decided
    if is_decided:
        with pytest.warns(UserWarning, match="it is complete now"):
            finish_change(folder)
    else:
        finish_change(folder)
    assert texts(folder) == {"new" if is_decided else "old"}
    # And the next change is not hindered by what was left.
    with changed_together(folder) as place:
        write(place, "newest")
    assert texts(folder) == {"newest"}
    assert not (folder / ".keras_rlr_change").exists()


def test_an_error_changes_nothing(tmp_path):
    folder = tmp_path / "run"
    write(folder)
    with pytest.raises(RuntimeError), changed_together(folder) as place:
        write(place, "new")
        raise RuntimeError
    assert texts(folder) == {"old"}
    assert sorted(file.name for file in folder.iterdir()) == sorted(NAMES)


def test_another_change_at_the_same_time_is_ended_first(tmp_path):
    write(tmp_path)
    with changed_together(tmp_path) as place:
        write(place, "mine", NAMES[:1])
        other = tmp_path / ".keras_rlr_change"
        write(other, "other", NAMES[1:])
    assert [(tmp_path / name).read_text() for name in NAMES] == [
        *("mine", "other", "other"),
    ]


def test_what_was_stopped_long_ago_is_removed(tmp_path):
    for name, age in (("old", 2), ("new", 0)):
        place = tmp_path / f".keras_rlr_change.{name}"
        write(place)
        os.utime(place, (time.time() - age * 86400,) * 2)
    with changed_together(tmp_path) as place:
        write(place)
    assert not (tmp_path / ".keras_rlr_change.old").exists()
    assert (tmp_path / ".keras_rlr_change.new").exists()


def test_what_may_not_be_ended_is_said(tmp_path, monkeypatch):
    write(tmp_path / ".keras_rlr_change", "new")

    def refuse(source, target):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError, match="do not belong together.*Read-only"):
        finish_change(tmp_path)
    finish_change(Path(tmp_path, "nowhere"))
