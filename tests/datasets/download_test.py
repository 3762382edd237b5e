import errno
import hashlib
import os

import pytest

from keras_rlr.datasets import download as module
from keras_rlr.datasets.download import download
from tests.datasets.local_server import serving

pytestmark = pytest.mark.backend_independent

CONTENT = bytes(range(256)) * 12_000  # 3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serving(CONTENT) as server:
        yield server


def test_downloads_checks_and_reports(server, tmp_path):
    calls = []
    path = download(
        server.url, tmp_path / "a" / "file.tar", SHA256, lambda *c: calls.append(c)
    )
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["file.tar"]
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    # What is there and right is not asked for again.
    download(server.url, path, SHA256)
    assert len(server.requests) == 1


def test_a_dropped_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.drop_after = [1_000_000, 500_000]
    path = download(server.url, tmp_path / "file.tar", SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests[0] is None
    offsets = [int(header[6:-1]) for header in server.requests[1:]]
    assert len(offsets) == 2
    assert 0 < offsets[0] < offsets[1] < len(CONTENT)


def test_a_server_without_parts_is_asked_for_all_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "file.tar.part").write_bytes(b"old")
    assert download(server.url, tmp_path / "file.tar", SHA256).read_bytes() == CONTENT


def test_what_came_is_kept_for_the_next_call(server, tmp_path):
    server.drop_after = [1_000_000] + [0] * 9
    path = tmp_path / "file.tar"
    with pytest.raises(ConnectionError, match=r"are kept in '.*file.tar.part': run"):
        download(server.url, path, SHA256)
    assert not path.exists()
    kept = (tmp_path / "file.tar.part").stat().st_size
    assert 0 < kept <= 1_000_000
    server.drop_after = []
    download(server.url, path, SHA256)
    assert server.requests[-1] == f"bytes={kept}-"
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_complete_needs_nothing_more(server, tmp_path):
    (tmp_path / "file.tar.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "file.tar", SHA256)
    assert (tmp_path / "file.tar").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(ValueError, match=f"should be {'0' * 64}: the file is damaged"):
        download(server.url, tmp_path / "file.tar", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_wrong_checksum_is_not_overwritten(server, tmp_path):
    (tmp_path / "file.tar").write_bytes(b"mine")
    with pytest.raises(ValueError, match="file.tar' has the SHA-256 .* Remove it"):
        download(server.url, tmp_path / "file.tar", SHA256)
    assert (tmp_path / "file.tar").read_bytes() == b"mine"


def test_an_error_of_the_server_is_said(server, tmp_path):
    server.status = 404
    with pytest.raises(ConnectionError, match=r"the server answered 404 \(Not Found\)"):
        download(server.url, tmp_path / "file.tar", SHA256)
    assert len(server.requests) == 1


def test_no_server(tmp_path):
    with pytest.raises(ConnectionError, match="can't be downloaded: .*refused"):
        download("http://127.0.0.1:9/file.tar", tmp_path / "file.tar", SHA256)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_said_and_the_next_try_succeeds(server, tmp_path, monkeypatch):
    path = tmp_path / "file.tar"
    part = tmp_path / "file.tar.part"
    part.symlink_to("/dev/full")
    monkeypatch.setattr(module, "_size", lambda path: 0)
    with pytest.raises(OSError, match="is full .* Make room") as caught:
        download(server.url, path, SHA256)
    assert caught.value.errno == errno.ENOSPC
    assert not path.exists()
    monkeypatch.undo()
    part.unlink()
    assert download(server.url, path, SHA256).read_bytes() == CONTENT
