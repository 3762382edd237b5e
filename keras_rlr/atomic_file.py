"""Files that are there whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path):
    """A path to write a file to, which takes its name when the block ends well.

    The file is written beside its place, flushed to the disk and renamed, so that
    neither a crash nor a full disk leaves a partly written one.

    Args:
        path: Where the file is to be. Its folder is made if need be.

    Yields:
        The `Path` to write to, in the same folder and of the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    try:
        yield Path(name)
        # mkstemp makes private files; what users get follows their umask.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        with open(name, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path, text):
    """Writes a UTF-8 text file, whole or not at all.

    File names that are no UTF-8 are written with their bytes as escapes.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
