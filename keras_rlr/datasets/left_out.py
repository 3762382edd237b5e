"""What is left out of a folder, and why."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from keras_rlr.datasets.reason import Reason

_NAMED = 3
_NAMED_IN_LINES = 20


class LeftOut:
    """Files and folders that are left out, by reason.

    Args:
        folder: the folder that paths are below.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._paths: dict[Reason, list[str]] = {reason: [] for reason in Reason}

    def add(self, path: str, reason: Reason) -> None:
        """Adds a path below the folder; that of a folder ends with a slash."""
        self._paths[reason].append(path)

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return any(self._paths.values())

    @property
    def files(self) -> int:
        """Number of files that are left out; folders don't count."""
        return sum(
            not path.endswith("/") for paths in self._paths.values() for path in paths
        )

    @property
    def by_reason(self) -> dict[Reason, list[str]]:
        """The paths of each reason that has some, sorted."""
        return {reason: sorted(paths) for reason, paths in self._paths.items() if paths}

    def as_dict(self) -> dict[str, list[str]]:
        """Words of the reason and paths, for files of results."""
        return {reason.many: paths for reason, paths in self.by_reason.items()}

    def lines(self) -> list[str]:
        """A line for each reason, with some names."""
        return [
            f"{reason.count(len(paths))}: {name_some(paths, _NAMED_IN_LINES)}"
            for reason, paths in self.by_reason.items()
        ]

    def summary(self, below: str = "") -> str:
        """One line of what is left out, or "" if that is nothing to speak of.

        Hidden files, texts and categories that were not chosen are nothing to speak
        of.

        Args:
            below: only of this folder, a path below `folder`.
        """
        parts = []
        for reason, paths in self.by_reason.items():
            if below:
                paths = [path for path in paths if path.startswith(f"{below}/")]
            if paths and not reason.quiet:
                some = name_some(paths, _NAMED)
                parts.append(
                    f"{reason.count(len(paths))} ({_suffixes(reason, paths)}{some})"
                )
        return f"Left out of '{self.folder}': {'; '.join(parts)}." if parts else ""


def _suffixes(reason: Reason, paths: list[str]) -> str:
    if reason is not Reason.UNKNOWN:
        return ""
    kinds = Counter(Path(path).suffix.lower() for path in paths).most_common(_NAMED)
    return ", ".join(kind for kind, _ in kinds) + ": "


def name_some(names: Iterable[str], most: int) -> str:
    """The first names, and how many more there are; printable whatever they hold."""
    names = list(names)
    shown = ", ".join(_printable(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _printable(name: str) -> str:
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
