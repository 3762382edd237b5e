"""Files of a folder that change together, or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

# Complete, and about to take their places.
_READY = ".keras_rlr_change"
_TRIES = 20
# Seconds after which nobody is writing to what is not complete.
_OLD = 24 * 60 * 60


@contextlib.contextmanager
def changed_together(folder: str | Path) -> Iterator[Path]:
    """A folder for new files, which take their places in another when the block ends.

    One rename decides: whatever stops the process before it leaves the files as they
    were, and what is stopped after it is done by the next `finish_change`. Those that
    only read one of the files see it whole, old or new.

    Args:
        folder: Where the files are to be. It is made if need be.

    Yields:
        The `Path` of a folder to write them to, by their names, each flushed to the
        disk, as `atomic_path` does.

    Example:

    ```python
    from keras_rlr.atomic_change import changed_together
    from keras_rlr.atomic_file import write_text

    with changed_together("runs/line") as place:
        write_text(place / "config.json", "{}")
        write_text(place / "images.csv", "use,sha256,path")
    ```
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    finish_change(folder)
    _remove_old(folder)
    place = Path(tempfile.mkdtemp(prefix=f"{_READY}.", dir=folder))
    try:
        yield place
        _decide(place, folder / _READY)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    _move(folder)


def finish_change(folder: str | Path) -> None:
    """Ends a change of files that was stopped while they took their places.

    To be called before files of the folder are read together.

    Args:
        folder: The folder; there need not be one.

    Raises:
        PermissionError: If that is not allowed.
    """
    folder = Path(folder)
    if not (folder / _READY).is_dir():
        return
    try:
        _move(folder)
    except OSError as error:
        raise PermissionError(
            f"The files in '{folder}' do not belong together: their last change was "
            f"stopped, and can't be ended here ({error.strerror}). Call the command "
            "once where you may write to that folder."
        ) from error
    warnings.warn(
        f"The last change of the files in '{folder}' was stopped while they took their "
        "places; it is complete now.",
        stacklevel=3,
    )


def _decide(place, ready):
    # Models that lie in one folder may be changed by several processes at a time.
    for _ in range(_TRIES):
        try:
            os.replace(place, ready)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        _move(ready.parent)
    os.replace(place, ready)


def _remove_old(folder):
    """Removes what changes left that were stopped before they were decided."""
    for place in folder.glob(f"{_READY}.*"):
        with contextlib.suppress(OSError):
            if time.time() - place.stat().st_mtime > _OLD:
                shutil.rmtree(place, ignore_errors=True)


def _move(folder):
    ready = folder / _READY
    # Another process may be at the same.
    with contextlib.suppress(FileNotFoundError):
        for file in sorted(ready.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                os.replace(file, folder / file.name)
        ready.rmdir()
