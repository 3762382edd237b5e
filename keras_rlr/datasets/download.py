"""Downloads that survive an interruption and are never taken for complete too soon."""

import errno
import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

_BLOCK = 1 << 20
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
        url: where from: http, https or file.
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
    path = Path(path)
    if path.is_file():
        check_sha256(path, sha256)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(1, _TRIES + 1):
        before = _size(part)
        try:
            if _fetch(url, part, on_progress):
                break
            reason = "the connection was dropped"
        except urllib.error.HTTPError as error:
            raise ConnectionError(
                f"{url} can't be downloaded: the server answered {error.code} "
                f"({error.reason}). Try again later, or download it by other means to "
                f"'{path}'."
            ) from error
        except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
            reason = str(error) or type(error).__name__
        except urllib.error.URLError as error:
            reason = str(error.reason)
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
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256:
        raise ValueError(
            f"'{path}' has the SHA-256 {actual}, but it should be {sha256}: the file "
            "is damaged, cut short or another one. Remove it, and download it again."
        )


def _fetch(url, part, on_progress):
    """Appends what is missing to `part`; returns whether it is complete."""
    done = _size(part)
    headers = {"User-Agent": "keras-rlr"}
    if done:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:
            return True  # nothing is missing
        raise
    with response:
        if done and getattr(response, "status", None) != 206:
            done = 0  # the server sends all of it again
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with part.open("ab" if done else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
                done += len(block)
                if on_progress:
                    on_progress(done, total)
    return total is None or done >= total


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _disk_error(error, part):
    if error.errno != errno.ENOSPC:
        return error
    free = shutil.disk_usage(part.parent).free
    return OSError(
        errno.ENOSPC,
        f"the disk of '{part.parent}' is full ({free} bytes are free). Make room and "
        "run the same again: what has come so far is kept",
    )
