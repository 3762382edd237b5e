import contextlib
import functools
import hashlib
import json
import warnings
from pathlib import Path

import ml_dtypes  # comes with Keras
import numpy as np

from keras_rlr.atomic_array import write_array
from keras_rlr.atomic_file import write_text

DTYPES = {
    "float16": np.dtype("float16"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype("float32"),
}
_SHARD_BYTES = 64 * 2**20
# Each memory map keeps a file open, and systems allow a process 256 or 1024.
_MOST_OPEN = 100


class FeatureStore:
    """Rows of numbers by key, in memory or in shards in a folder.

    A shard is a NumPy file of bytes, read as a memory map, with a JSON file beside it
    that names its keys and its SHA-256. Both appear whole or not at all, the JSON last,
    and neither is changed again: an interrupted writer loses the rows of one shard, and
    processes can share a folder. A shard that is not what its JSON says is removed,
    with a warning, as if its rows had never been written; one that the system does not
    let us read stays, with the system's error. Of many shards a few are open at a time.

    Args:
        folder: Where the shards are, or None to hold the rows in memory.
        width: Numbers a row.
        dtype: "float16", "bfloat16" or "float32".
    """

    def __init__(self, folder, width, dtype):
        self.folder = None if folder is None else Path(folder)
        self.width = width
        self.dtype = DTYPES[dtype]
        self._rows = {}
        self._shards = set()
        self._pending = {}
        self._opened = functools.lru_cache(_MOST_OPEN)(_open_shard)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def refresh(self):
        """Takes in the shards that are in the folder by now."""
        if self.folder is None:
            return
        for description in sorted(self.folder.glob("*.json")):
            # Those that begin with a dot are being written.
            if description.stem not in self._shards and description.name[0] != ".":
                self._open(description)

    def __contains__(self, key):
        """Whether a key's row can be read."""
        return key in self._rows

    def add(self, keys, rows, notes):
        """Keeps rows, to be read after `flush`; those of keys it has are left out.

        Args:
            keys: List of strings.
            rows: float32 array (keys, width).
            notes: List of what else the JSON is to say of each, dicts.

        Raises:
            ValueError: If a value is too large for the dtype.
        """
        with np.errstate(over="ignore"):
            small = rows.astype(self.dtype)
        if not np.isfinite(small.astype("float32")).all():
            if not np.isfinite(rows).all():
                raise ValueError(
                    "A feature is not a finite number. Check the backbone's weights."
                )
            raise ValueError(
                f"Features up to {np.abs(rows).max():.3g} are too large for "
                f"{self.dtype.name}. Use FeatureCache(path, dtype='bfloat16')."
            )
        for key, row, note in zip(keys, small, notes, strict=True):
            if key not in self._rows:
                self._pending[key] = (row, note)
        row_bytes = self.width * self.dtype.itemsize
        if len(self._pending) * row_bytes >= _SHARD_BYTES:
            self.flush()

    def flush(self):
        """Makes what was added readable, in a folder by a shard."""
        if not self._pending:
            return
        if self.folder is None:
            self._rows.update((key, row) for key, (row, _) in self._pending.items())
            self._pending = {}
            return
        keys = list(self._pending)
        rows, notes = zip(*self._pending.values(), strict=True)
        packed = np.stack(rows).view(np.uint8)
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
        write_array(self.folder / f"{name}.npy", packed)
        description = {"sha256": _sha256(packed), "keys": keys, "notes": notes}
        write_text(self.folder / f"{name}.json", json.dumps(description) + "\n")
        self._pending = {}
        self._open(self.folder / f"{name}.json", verify=False)

    def read(self, keys):
        """Returns the rows of keys, an array (keys, width) of the store's dtype."""
        rows = np.empty((len(keys), self.width), self.dtype)
        # One by one: a row that is held on to would keep its shard open.
        for row, key in zip(rows, keys, strict=True):
            row[:] = self._row(key).view(self.dtype)
        return rows

    def _row(self, key):
        row = self._rows[key]
        if self.folder is None:
            return row
        shard, number = row
        return self._opened(shard)[number]

    def _open(self, description, verify=True):
        shard = description.with_suffix(".npy")
        try:
            content = json.loads(description.read_text("utf-8"))
            keys = content["keys"]
            # Not by what is open: another process may have written it anew.
            rows = _open_shard(shard)
            expected = (len(keys), self.width * self.dtype.itemsize)
            damage = (rows.shape, rows.dtype) != (expected, np.uint8) or (
                verify and _sha256(rows) != content["sha256"]
            )
        # Other errors of the system say nothing of the file: too many are open, or a
        # network does not answer.
        except (FileNotFoundError, EOFError, ValueError, KeyError, TypeError) as error:
            damage = error
        if damage is not False:
            warnings.warn(
                f"The feature cache's file '{shard}' is damaged or incomplete; its "
                "features are computed again.",
                stacklevel=2,
            )
            # A folder that can only be read keeps it.
            with contextlib.suppress(OSError):
                description.unlink(missing_ok=True)
                shard.unlink(missing_ok=True)
            return
        self._shards.add(description.stem)
        self._rows.update((key, (shard, number)) for number, key in enumerate(keys))

    def _remove_remains(self, folder):
        """Removes what a writer left that was killed: it is never read."""
        for file in folder.glob("*"):
            unfinished = file.name[0] == "." and file.suffix in (".npy", ".json")
            lone = file.suffix == ".npy" and not file.with_suffix(".json").exists()
            if unfinished or lone:
                file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self):
        """One process at a time fills a folder; the others wait, if the system can.

        One that trains with others may fill it with them: what an earlier one left
        unfinished is removed at the start alone.
        """
        if self.folder is None:
            yield
            return
        with contextlib.ExitStack() as stack:
            # Without it two processes compute the same features twice, no more. A
            # folder that can only be read may have all of them.
            with contextlib.suppress(ImportError, OSError):
                import fcntl

                file = stack.enter_context(open(self.folder / "lock", "a"))
                fcntl.flock(file, fcntl.LOCK_EX)
                self._remove_remains(self.folder)
            yield


def _open_shard(shard):
    # As a plain array over the map: a memmap's rows are slow to take.
    return np.asarray(np.load(shard, mmap_mode="r"))


def _sha256(rows):
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row)
    return digest.hexdigest()
