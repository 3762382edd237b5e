"""Files that are there whole or not at all."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# A name may be as long as the file system takes; the temporary one must fit too.
_MOST_OF_A_NAME = 40
# What the system says where no more can be written.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A path to write a file to, which takes its name when the block ends well.

    The file is written beside its place, flushed to the disk and renamed, so that
    neither a crash nor a full disk leaves a partly written one.

    Args:
        path: Where the file is to be. Its folder is made if need be.

    Yields:
        The `Path` to write to, in the same folder and of the same suffix.

    Raises:
        OSError: If no room is left for the file, among others; it says where.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem[:_MOST_OF_A_NAME]}.", suffix=path.suffix, dir=path.parent
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
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise no_room(error, path) from error
        raise


def no_room(error: OSError, path: str | Path) -> OSError:
    """The error of a disk that is full, or of a quota, in a sentence.

    Args:
        error: What the system said; its number is of `NO_ROOM`.
        path: The file that there was no room for.
    """
    return OSError(
        error.errno,
        f"There is no room for '{path}' ({error.strerror}). Free some space there, or "
        "choose another place.",
    )


def check_writable(folder: str | Path) -> None:
    """Refuses a folder that no file can be written to, before the work for it is done.

    Args:
        folder: The folder; it need not exist yet, and is not made.

    Raises:
        NotADirectoryError: If it is a file, or in one.
        PermissionError: If it can't be made, or nothing can be written to it.
    """
    nearest = Path(folder).absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise NotADirectoryError(
            f"'{nearest}' is a file, so there can be no folder '{folder}'. Choose "
            "another place with --output."
        )
    try:
        # Permissions don't tell of file systems that are read-only, nor of none.
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise PermissionError(
            f"Nothing can be written to '{folder}' ({error.strerror}). Choose another "
            "place with --output."
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all.

    File names that are no UTF-8 are written with their bytes as escapes.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(text_bytes(text))


def text_bytes(text: str) -> bytes:
    """What `write_text` writes of a text."""
    return text.encode("utf-8", "backslashreplace")
