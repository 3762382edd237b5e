"""Files on this machine and in object stores, by one way to name them."""

import functools
from pathlib import Path
from typing import Any


def is_address(place: str) -> bool:
    """Whether it is an address such as `s3://bucket/folder`, and no path.

    Args:
        place: What the user gave.
    """
    protocol, separator, _ = place.partition("://")
    return bool(separator) and protocol.replace("+", "").isalnum()


def local_path(place: str) -> Path | None:
    """The path of a place on this machine, or None of one elsewhere.

    Args:
        place: A path, or an address; `file://` is on this machine.
    """
    if place.startswith("file://"):
        return Path(place.removeprefix("file://"))
    return None if is_address(place) else Path(place)


def open_place(place: str) -> tuple[Any, str]:
    """The file system of a place, and what it calls the place.

    Args:
        place: A path, or an address of any protocol that fsspec knows.

    Returns:
        An fsspec file system, and a path of it.

    Raises:
        ValueError: If nobody knows the protocol.
        ImportError: If the protocol needs a package that is not installed.
    """
    import fsspec

    path = local_path(place)
    if path is not None:
        return _local_files(), str(path.absolute())
    try:
        return fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise ImportError(
            f"'{place}' can't be reached: {error}. Install that package, here and on "
            "all machines of the cluster."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"'{place}' can't be reached: {error}. Give a path, or an address that "
            "fsspec knows, such as s3://bucket/folder."
        ) from error


@functools.cache
def _local_files() -> Any:
    import fsspec

    return fsspec.filesystem("file")
