"""Rows in shards: whole or not at all, however many, and whatever fails."""

import contextlib
import errno
import os
import warnings

import numpy as np
import pytest

from keras_rlr.inputs import feature_store
from keras_rlr.inputs.feature_store import FeatureStore
from tests.fresh_process import FreshProcess

pytestmark = pytest.mark.backend_independent


@contextlib.contextmanager
def limited(name, most):
    """A limit of the system for this process, as of a shell's `ulimit`."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(getattr(resource, name))
    resource.setrlimit(getattr(resource, name), (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(getattr(resource, name), before)


def test_rows_that_were_never_written_are_not_taken_for_kept(tmp_path):
    store = FeatureStore(tmp_path, 1, "float32")
    store.add(["a"], np.ones((1, 1), "float32"), [{}])
    # No file may be longer, which fails in the middle of writing as a full disk does.
    with limited("RLIMIT_FSIZE", 130), pytest.raises(OSError) as caught:
        store.flush()
    assert caught.value.errno == errno.EFBIG
    assert "a" not in store
    assert not list(tmp_path.iterdir())
    store.add(["a"], np.ones((1, 1), "float32"), [{}])
    store.flush()
    np.testing.assert_array_equal(store.read(["a"]), [[1.0]])


def test_more_shards_than_files_that_may_be_open_are_all_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "_SHARD_BYTES", 1)
    keys = [f"{i}" for i in range(300)]
    with limited("RLIMIT_NOFILE", len(os.listdir("/dev/fd")) + 250):
        store = FeatureStore(tmp_path, 1, "float32")
        for i, key in enumerate(keys):
            store.add([key], np.full((1, 1), i, "float32"), [{}])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = FeatureStore(tmp_path, 1, "float32")
            again.refresh()
        for each in (store, again):
            np.testing.assert_array_equal(each.read(keys)[:, 0], np.arange(300))
    assert len(list(tmp_path.glob("*.npy"))) == 300


def test_a_shard_that_the_system_does_not_open_is_not_removed(tmp_path):
    store = FeatureStore(tmp_path, 1, "float32")
    store.add(["a"], np.ones((1, 1), "float32"), [{}])
    store.flush()
    (shard,) = tmp_path.glob("*.npy")
    kept = shard.rename(tmp_path / "kept")
    # An error of the system, for any user, as of a network that does not answer.
    shard.symlink_to(shard.name)
    again = FeatureStore(tmp_path, 1, "float32")
    with pytest.raises(OSError, match="symbolic links"):
        again.refresh()
    assert shard.is_symlink() and shard.with_suffix(".json").exists()
    kept.replace(shard)
    again.refresh()
    np.testing.assert_array_equal(again.read(["a"]), [[1.0]])


def test_an_empty_shard_is_damaged(tmp_path):
    store = FeatureStore(tmp_path, 1, "float32")
    store.add(["a"], np.ones((1, 1), "float32"), [{}])
    store.flush()
    (shard,) = tmp_path.glob("*.npy")
    shard.write_bytes(b"")
    again = FeatureStore(tmp_path, 1, "float32")
    with pytest.warns(UserWarning, match=f"{shard.name}' is damaged"):
        again.refresh()
    assert "a" not in again and not list(tmp_path.iterdir())


def test_a_folder_without_a_lock_is_read(tmp_path):
    store = FeatureStore(tmp_path, 1, "float32")
    store.add(["a"], np.ones((1, 1), "float32"), [{}])
    store.flush()
    # What can't be opened for writing, by any user, as on a read-only file system.
    (tmp_path / "lock").mkdir()
    again = FeatureStore(tmp_path, 1, "float32")
    with again.locked():
        again.refresh()
    np.testing.assert_array_equal(again.read(["a"]), [[1.0]])


def test_numbers_that_do_not_fit_are_refused():
    store = FeatureStore(None, 2, "float16")
    with pytest.raises(ValueError, match=r"up to 1e\+05 are too large for float16"):
        store.add(["a"], np.array([[1.0, 1e5]], "float32"), [{}])
    with pytest.raises(ValueError, match="not a finite number"):
        store.add(["a"], np.array([[1.0, np.nan]], "float32"), [{}])
    large = FeatureStore(None, 2, "bfloat16")
    large.add(["a"], np.array([[1.0, 1e5]], "float32"), [{}])
    large.flush()
    np.testing.assert_allclose(
        large.read(["a"]).astype("float32"), [[1.0, 1e5]], rtol=2**-8
    )


WRITE = """
import contextlib, os, sys, time, warnings
import numpy as np
from keras_rlr.inputs.feature_store import FeatureStore

warnings.simplefilter("error")
folder, lock, go = sys.argv[1:]
if lock == "none":
    FeatureStore.locked = contextlib.nullcontext
store = FeatureStore(folder, 3, "float32")
print("ready", flush=True)
while not os.path.exists(go):
    time.sleep(0.001)
computed = 0
for i in range(40):
    key = f"{i:064}"
    with store.locked():
        store.refresh()
        if key not in store:
            computed += 1
            store.add([key], np.full((1, 3), i, "float32"), [{}])
            store.flush()
rows = store.read([f"{i:064}" for i in range(40)])
np.testing.assert_array_equal(rows[:, 0], range(40))
print(computed)
"""


@pytest.mark.parametrize("lock", ["held", "none"])
def test_processes_share_a_folder(lock, tmp_path):
    folder, go = tmp_path / "store", tmp_path / "go"
    folder.mkdir()
    writers = [FreshProcess(WRITE, folder, lock, go) for _ in range(2)]
    for writer in writers:
        writer.wait_for(lambda writer=writer: writer.written()[0] == "ready\n")
    go.touch()
    done = [writer.wait(timeout=120) for writer in writers]
    assert [each.returncode for each in done] == [0, 0], done
    computed = sum(int(each.stdout.split()[1]) for each in done)
    # Without a lock, which not every file system has, both may compute a row.
    assert computed == 40 if lock == "held" else 40 <= computed <= 80
    store = FeatureStore(folder, 3, "float32")
    with store.locked():
        store.refresh()
    assert all(f"{i:064}" in store for i in range(40))


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / "of-the-user.txt").touch()
    for name in ("0123.npy", ".0123.abc.npy", ".4567.abc.json"):
        (tmp_path / name).write_bytes(b"cut short")
    store = FeatureStore(tmp_path, 1, "float32")
    store.refresh()  # not locked: another writer may be at work
    assert len(list(tmp_path.iterdir())) == 4
    store.add(["a"], np.ones((1, 1), "float32"), [{}])
    store.flush()
    kept = {*tmp_path.glob("[!.0]*.npy"), *tmp_path.glob("[!.]*.json")}
    with store.locked():
        store.refresh()
    assert set(tmp_path.iterdir()) == kept | {
        tmp_path / "of-the-user.txt",
        tmp_path / "lock",
    }
