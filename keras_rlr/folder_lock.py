import contextlib
import os
from pathlib import Path
from typing import IO


class FolderLock:
    """Keeps a second process from writing to the same folder.

    It would remove what the first is writing, or write over what the first changed. A
    scheduler that starts a job again while its first process still ends does that, or
    a command in two terminals. Where the file system has no locks there is none.

    Args:
        folder: The folder.
        doing: What the other process does there, for the message.
        instead: Sentences of what the user may do.
    """

    def __init__(self, folder: Path, doing: str, instead: str) -> None:
        self._message = f"Another process is {doing} '{folder}'. {instead}"
        self._folder = folder
        self._file: IO[str] | None = None
        self._made: list[Path] = []

    def __enter__(self) -> None:
        """Takes the lock, see `take`."""
        self.take()

    def __exit__(self, *error: object) -> None:
        """Gives it back, see `release`."""
        self.release()

    def take(self) -> None:
        """Makes the folder if need be, and takes the lock.

        Raises:
            FileExistsError: If another process has it.
        """
        try:
            import fcntl
        except ImportError:
            return
        folders = [self._folder, *self._folder.parents]
        self._made = [folder for folder in folders if not folder.exists()]
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / ".lock"
        while self._file is None:
            file = path.open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.close()
                raise FileExistsError(self._message) from error
            except OSError:
                file.close()
                path.unlink(missing_ok=True)
                return
            # Who had it may have removed the file since it was opened.
            if _is_at(path, file):
                self._file = file
            else:
                file.close()

    def release(self) -> None:
        """Gives the lock back; folders made for it go if nothing came into them."""
        if self._file is not None:
            (self._folder / ".lock").unlink(missing_ok=True)
            self._file.close()
            self._file = None
        with contextlib.suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def _is_at(path, file):
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
