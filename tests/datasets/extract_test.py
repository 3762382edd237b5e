import errno
import io
import tarfile
from pathlib import Path

import pytest

from keras_rlr.datasets import extract as module
from keras_rlr.datasets.extract import extract

pytestmark = pytest.mark.backend_independent


def add(tar, name, content=b"x" * 1000, **attributes):
    member = tarfile.TarInfo(name)
    member.size = len(content) if attributes.get("type") is None else 0
    for key, value in attributes.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content) if member.size else None)


def archive_of(path, *members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, attributes in members:
            add(tar, name, **attributes)
    return path


@pytest.mark.parametrize("mode", ["w", "w:xz", "w:gz"])
def test_extracts_whole_and_readable(tmp_path, mode):
    archive = archive_of(tmp_path / "a.tar", ("a/b.png", {}), ("c.csv", {}), mode=mode)
    calls = []
    folder = extract(archive, tmp_path / "data", lambda *call: calls.append(call))
    assert (folder / "a" / "b.png").read_bytes() == b"x" * 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "data"]
    assert folder.stat().st_mode & 0o777 == 0o755
    assert calls[-1][0] <= calls[-1][1] == archive.stat().st_size


@pytest.mark.parametrize(
    ("name", "attributes", "message"),
    [
        ("../out.png", {}, "outside the destination"),
        ("/tmp/../../etc/out.png", {}, "outside the destination"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "is a link"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "a.png"}, "is a link"),
        ("hard", {"type": tarfile.LNKTYPE, "linkname": "a.png"}, "is a link"),
        ("pipe", {"type": tarfile.FIFOTYPE}, "is a link or device"),
    ],
)
def test_unsafe_members_are_refused_and_nothing_is_left(
    tmp_path, name, attributes, message
):
    archive = archive_of(tmp_path / "a.tar", ("a.png", {}), (name, attributes))
    with pytest.raises(ValueError, match=message):
        extract(archive, tmp_path / "data")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("mode", ["w", "w:xz", "w:gz"])
def test_a_truncated_archive_leaves_nothing_and_the_next_try_succeeds(tmp_path, mode):
    members = [(f"{i}.png", {"content": bytes(range(256)) * 50}) for i in range(9)]
    archive = archive_of(tmp_path / "a.tar", *members, mode=mode)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(ValueError, match="damaged, cut short or no tar archive"):
        extract(archive, tmp_path / "data")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]
    archive.write_bytes(whole)
    assert len(list(extract(archive, tmp_path / "data").iterdir())) == 9


def test_what_is_no_archive(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="can't be extracted"):
        extract(tmp_path / "a.tar", tmp_path / "data")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    archive = archive_of(tmp_path / "a.tar", ("a.png", {}), ("b.png", {}))
    real = module.tarfile.TarFile.extract

    def full(self, member, *arguments, **options):
        if member.name == "b.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, member, *arguments, **options)

    monkeypatch.setattr(module.tarfile.TarFile, "extract", full)
    with pytest.raises(OSError, match="is full. Make room, about") as caught:
        extract(archive, tmp_path / "data")
    assert caught.value.errno == errno.ENOSPC
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    archive = archive_of(tmp_path / "a.tar", ("a.png", {}))
    extract(archive, tmp_path / "data")
    with pytest.raises(FileExistsError, match="has something in it. Remove it"):
        extract(archive, tmp_path / "data")


@pytest.mark.parametrize("kind", ["folder", "link", "."])
def test_an_empty_folder_is_filled_where_it_is(tmp_path, monkeypatch, kind):
    archive = archive_of(tmp_path / "a.tar", ("a/b.png", {}), ("c.png", {}))
    real = tmp_path / "real"
    real.mkdir()
    before = real.stat().st_ino
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(real)
    folder = {"folder": real, "link": tmp_path / "link", ".": Path(".")}[kind]
    extract(archive, folder)
    assert sorted(p.name for p in real.iterdir()) == ["a", "c.png"]
    assert real.stat().st_ino == before


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    archive = archive_of(tmp_path / "a.tar", ("a.png", {}))
    (tmp_path / "data").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is a file. Choose another folder"):
        extract(archive, tmp_path / "data")
