"""A lock that was given back between its opening and its taking."""

import pytest

from keras_rlr.folder_lock import FolderLock

pytestmark = pytest.mark.backend_independent


def lock(folder):
    return FolderLock(folder, "writing to", "Wait for it.")


def test_a_lock_whose_holder_ends_meanwhile_keeps_others_out(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    take, opened = fcntl.flock, []

    def after_the_former_holders_end(file, operation):
        if not opened:
            (tmp_path / ".lock").unlink()
        opened.append(file.fileno())
        return take(file, operation)

    monkeypatch.setattr(fcntl, "flock", after_the_former_holders_end)
    with lock(tmp_path):
        assert len(opened) == 2
        with pytest.raises(FileExistsError, match=r"is writing to .* Wait for it\."):
            lock(tmp_path).take()
    with lock(tmp_path / "new" / "folder"):
        pass
    assert not list(tmp_path.iterdir())
