import contextlib
import hashlib
import json
import warnings
from pathlib import Path

import ml_dtypes  # comes with Keras
import numpy as np

from keras_rlr.atomic_file import atomic_path, write_text

DTYPES = {
    "float16": np.dtype("float16"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype("float32"),
}
_SHARD_BYTES = 64 * 2**20


class FeatureStore:
    """Rows of numbers by key, in memory or in shards in a folder.

    A shard is a NumPy file of bytes, read as a memory map, with a JSON file beside it
    that names its keys and its SHA-256. Both appear whole or not at all, the JSON last,
    and neither is changed again: an interrupted writer loses the rows of one shard, and
    processes can share a folder. A shard that is not what its JSON says is removed,
    with a warning, as if its rows had never been written.

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
        with atomic_path(self.folder / f"{name}.npy") as temporary:
            np.save(temporary, packed, allow_pickle=False)
        description = {"sha256": _sha256(packed), "keys": keys, "notes": notes}
        write_text(self.folder / f"{name}.json", json.dumps(description) + "\n")
        self._pending = {}
        self._open(self.folder / f"{name}.json", verify=False)

    def read(self, keys):
        """Returns the rows of keys, an array (keys, width) of the store's dtype."""
        return np.stack([self._rows[key].view(self.dtype) for key in keys])

    def _open(self, description, verify=True):
        try:
            content = json.loads(description.read_text("utf-8"))
            keys = content["keys"]
            # As a plain array over the map: a memmap's rows are slow to take.
            rows = np.asarray(np.load(description.with_suffix(".npy"), mmap_mode="r"))
            expected = (len(keys), self.width * self.dtype.itemsize)
            damage = (rows.shape, rows.dtype) != (expected, np.uint8) or (
                verify and _sha256(rows) != content["sha256"]
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            damage = error
        if damage is not False:
            warnings.warn(
                f"The feature cache's file '{description.with_suffix('.npy')}' is "
                "damaged or incomplete; its features are computed again.",
                stacklevel=2,
            )
            description.unlink(missing_ok=True)
            description.with_suffix(".npy").unlink(missing_ok=True)
            return
        self._shards.add(description.stem)
        self._rows.update(zip(keys, rows, strict=True))

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
        with open(self.folder / "lock", "a") as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
                self._remove_remains(self.folder)
            except (ImportError, OSError):
                # Without it two processes compute the same features twice, no more.
                pass
            yield


def _sha256(rows):
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row)
    return digest.hexdigest()
