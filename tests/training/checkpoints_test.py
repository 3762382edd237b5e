import dataclasses
import json
import zipfile

import pytest

from keras_rlr.training.checkpoints import Checkpoints
from keras_rlr.training.training_state import TrainingState

pytestmark = pytest.mark.backend_independent

STATE = TrainingState(1, 2, 6, 1e-3, 5e-4, 1.5, (0.1, 3.0))


def write(path, state=STATE):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", bytes(1000))
        if state is not None:
            archive.writestr("training.json", json.dumps(state.to_dict()))
    return path


def test_the_newest_is_the_one_of_most_batches(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    assert checkpoints.found() == [] and checkpoints.newest() is None
    (tmp_path / "run").mkdir()
    old = write(checkpoints.of_epoch, None)
    assert checkpoints.newest() == (old, None)
    assert not checkpoints.hold_batches()
    first = write(checkpoints.numbered(99_999_999))
    second = write(checkpoints.numbered(100_000_000))
    (tmp_path / "run" / "checkpoint-best.keras").touch()
    assert checkpoints.found() == [second, first, old]
    path, state = checkpoints.newest()
    assert path == second
    assert dataclasses.replace(state, metrics=tuple(state.metrics)) == STATE
    assert checkpoints.hold_batches()


def test_a_damaged_one_is_announced_and_the_one_before_taken(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    paths = [write(checkpoints.numbered(number)) for number in range(4)]
    # A bit, an end, and all of it.
    content = bytearray(paths[3].read_bytes())
    content[100] ^= 1
    paths[3].write_bytes(content)
    paths[2].write_bytes(paths[2].read_bytes()[:-10])
    with pytest.warns(UserWarning) as caught:
        path, _ = checkpoints.newest()
    assert path == paths[1]
    assert "00000003.keras' is damaged" in str(caught[0].message)
    assert "00000002.keras' is damaged" in str(caught[1].message)
    paths[1].write_bytes(b"")
    write(paths[0], None)
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(ValueError, match="does not say where the training stood"),
    ):
        checkpoints.newest()


@pytest.mark.parametrize("notes", [[], {"epoch": 1}, {**STATE.to_dict(), "step": -1}])
def test_notes_that_are_none_are_refused(notes):
    with pytest.raises(ValueError, match="not to be understood"):
        TrainingState.from_dict(notes)


def test_so_many_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    old = write(checkpoints.of_epoch)
    paths = [write(checkpoints.numbered(number)) for number in (2, 4, 6)]
    checkpoints.keep(4, paths[2])
    assert checkpoints.found() == [paths[2], paths[1], paths[0], old]
    # One that seems newer was damaged.
    checkpoints.keep(2, paths[1])
    assert checkpoints.found() == [paths[1], paths[0]]
    leftover = tmp_path / ".checkpoint-00000008.abcd.keras"
    leftover.touch()
    checkpoints.remove_unfinished()
    assert checkpoints.found() == [paths[1], paths[0]] and not leftover.exists()
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []
