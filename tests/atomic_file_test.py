import errno
import os
import stat

import pytest

from keras_rlr.atomic_file import atomic_path, write_text

pytestmark = pytest.mark.backend_independent


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_files_follow_the_umask(tmp_path):
    path = tmp_path / "file.txt"
    previous = os.umask(0o027)
    try:
        write_text(path, "ä\n")
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_bytes() == "ä\n".encode()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_disk_is_said_with_the_file(tmp_path):
    path = tmp_path / "model.keras"
    with (
        pytest.raises(OSError, match=r"no room for '.*model\.keras'") as caught,
        atomic_path(path),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"0")
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())
