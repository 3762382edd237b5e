"""Archives into folders, whole or not at all."""

import errno
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path


def extract(
    archive: str | Path,
    folder: str | Path,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Extracts a tar archive into a new or empty folder.

    It is extracted into a hidden folder beside it, or in it if it is there, and moved
    when all has come. Links, devices and names that lead out of it are refused.

    Args:
        archive: a .tar file, compressed by xz, gzip or bzip2 or not. Check its SHA-256
            first: a tar file cut between two members looks like a complete one.
        folder: the folder.
        on_progress: called with (bytes read of the archive, its size).

    Returns:
        `folder`.

    Raises:
        FileExistsError: if there is something in the folder.
        ValueError: if the archive is damaged, cut short or unsafe.
        OSError: if the disk is full. Nothing is left behind.
    """
    archive, folder = Path(archive), Path(folder)
    check_empty(folder)
    # An empty folder may be a mount point, which can't be replaced.
    parent = folder if folder.exists() else folder.parent
    parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(
        tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=parent)
    )
    try:
        _extract_members(archive, temporary, on_progress)
        if parent == folder:
            for child in temporary.iterdir():
                child.rename(folder / child.name)
        else:
            # `mkdtemp` keeps others out; a data set is for all who may read the rest.
            temporary.chmod(0o755)
            temporary.rename(folder)
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(
            f"'{archive}' can't be extracted: {error}. It is damaged, cut short or no "
            "tar archive: download it again."
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC,
            f"the disk of '{folder.parent}' is full. Make room, about "
            f"{2 * archive.stat().st_size >> 20} MiB, and run the same again",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def check_empty(folder: Path) -> None:
    """Refuses a folder to extract into that has something in it, or is a file.

    Raises:
        NotADirectoryError: if it is a file.
        FileExistsError: if there is something in it.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"'{folder}' is a file. Choose another folder.")
    if folder.is_dir() and any(_visible(folder)):
        raise FileExistsError(
            f"'{folder}' has something in it. Remove it to extract anew, or choose "
            "another folder."
        )


def _visible(folder):
    return (child for child in folder.iterdir() if not child.name.startswith("."))


def _extract_members(archive, folder, on_progress):
    size = archive.stat().st_size
    with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            if not (member.isfile() or member.isdir()):
                raise tarfile.TarError(
                    f"'{member.name}' is a link or device, which no data set needs"
                )
            tar.extract(member, folder, filter="data")
            if on_progress:
                on_progress(file.tell(), size)
