"""Rows in shards: whole or not at all, however many, and whatever fails."""

import contextlib
import errno
import os
import warnings

import numpy as np
import pytest

from keras_rlr.inputs import feature_store
from keras_rlr.inputs.feature_store import FeatureStore

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
