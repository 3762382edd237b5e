"""Downloads that survive an interruption and are never taken for complete too soon."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

_BLOCK = 1 << 16  # of what a broken connection sent, at most so much is lost
_TIMEOUT = 60  # seconds without a byte
_TRIES = 5


def download(
    url: str,
    path: str | Path,
    sha256: str,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Downloads a file, or what is missing of it, and checks it.

    What has come so far is in `path` with `.part` added; a later call goes on from
    there, if the server can. A connection that drops is taken up again a few times.
    `path` itself is there only when it is complete and right.

    Args:
        url: where from, http or https.
        path: where to.
        sha256: the hexadecimal SHA-256 that the file must have.
        on_progress: called with (bytes done, bytes in all or None) as they come.

    Returns:
        `path`.

    Raises:
        ConnectionError: if the server can't be reached, refuses, or drops the
            connection again and again. What came is kept for the next try.
        ValueError: if the file has another checksum. It is removed.
        OSError: if the disk is full; what came is kept.
    """
    import requests

    path = Path(path)
    if path.is_file():
        check_sha256(path, sha256)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(1, _TRIES + 1):
        before = _size(part)
        try:
            _fetch_rest(url, part, on_progress)
            break
        except requests.HTTPError as error:
            answer = error.response
            if answer is None:
                raise
            if answer.status_code == 416 and before:
                break  # nothing is missing
            raise ConnectionError(
                f"{url} can't be downloaded: the server answered {answer.status_code} "
                f"({answer.reason}). Try again later, or download it by other means to "
                f"'{path}'."
            ) from error
        except requests.RequestException as error:
            reason = str(error) or type(error).__name__
        except OSError as error:
            raise _disk_error(error, part) from error
        if attempt == _TRIES or (attempt > 1 and _size(part) == before):
            raise ConnectionError(
                f"{url} can't be downloaded: {reason}. {_size(part)} bytes are kept in "
                f"'{part}': run the same again to go on, or download the file by other "
                f"means to '{path}'."
            )
    try:
        check_sha256(part, sha256)
    except ValueError:
        part.unlink()
        raise
    part.replace(path)
    return path


def check_sha256(path: Path, sha256: str) -> None:
    """Raises a ValueError if a file has another checksum."""
    import pooch

    actual = pooch.file_hash(str(path), alg="sha256")
    if actual != sha256:
        raise ValueError(
            f"'{path}' has the SHA-256 {actual}, but it should be {sha256}: the file "
            "is damaged, cut short or another one. Remove it, and download it again."
        )


def _fetch_rest(
    url: str, part: Path, on_progress: Callable[[int, int | None], None] | None
) -> None:
    """Adds to `part` what is missing of it."""
    import pooch

    done = _size(part)
    headers = {"User-Agent": "keras-rlr", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    with part.open("ab") as file:
        progress = _Progress(file, on_progress)

        def begin(answer: Any, *args: Any, **kwargs: Any) -> None:
            if done and answer.status_code == 200:
                file.truncate(0)  # the server sends all of it again
            progress.begin()

        fetch = pooch.HTTPDownloader(
            progressbar=progress,
            chunk_size=_BLOCK,
            timeout=_TIMEOUT,
            headers=headers,
            hooks={"response": begin},
        )
        fetch(url, file, None)


class _Progress:
    """What pooch tells of a download, as (bytes done, bytes in all)."""

    def __init__(
        self,
        file: BinaryIO,
        on_progress: Callable[[int, int | None], None] | None,
    ):
        self._file = file
        self._on_progress = on_progress
        self._before = 0
        self.total = 0  # of this answer; pooch sets it

    def begin(self) -> None:
        self._before = self._file.seek(0, 2)

    def update(self, count: int) -> None:
        if self._on_progress:
            total = self._before + self.total if self.total else None
            self._on_progress(self._file.tell(), total)

    def reset(self) -> None:
        """Pooch calls it at the end; what is shown is the file's size anyway."""

    def close(self) -> None:
        """There is nothing to close."""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _disk_error(error: OSError, part: Path) -> OSError:
    if error.errno != errno.ENOSPC:
        return error
    free = shutil.disk_usage(part.parent).free
    return OSError(
        errno.ENOSPC,
        f"the disk of '{part.parent}' is full ({free} bytes are free). Make room and "
        "run the same again: what has come so far is kept",
    )
