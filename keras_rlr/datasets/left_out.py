"""What is left out of a folder, and why."""

import enum
from collections import Counter
from pathlib import Path

from keras_rlr.printable import name_some


class Reason(enum.Enum):
    """Why a file or a folder is left out: of one, of several, and if it is no news."""

    UNKNOWN = "file of unknown kind", "files of unknown kind"
    NO_SUFFIX = "file without a suffix", "files without a suffix"
    BROKEN_LINK = "broken link", "broken links"
    SPECIAL = "pipe, socket or device", "pipes, sockets or devices"
    JUNK = (
        "thumbnail or other file of a system or viewer",
        "thumbnails and other files of systems and viewers",
    )
    GUESS = (
        "file in folders or of a name that would make its label a guess",
        "files in folders or of names that would make their labels a guess",
    )
    LOOSE = (
        "image directly in train or test, and not in a folder of good or of a defect",
        "images directly in train or test, and not in folders of good or of a defect",
    )
    NOT_TRAINED_ON = (
        "image to train on that is not normal",
        "images to train on that are not normal",
    )
    OUTSIDE = "image in no folder of the layout", "images in no folders of the layout"
    NOT_IN_TABLE = (
        "image that the table of the splits does not name",
        "images that the table of the splits does not name",
    )
    NO_IMAGE = "mask of no image", "masks of no image"
    MASK_BESIDE = (
        "mask beside its image, for there is a folder of masks too",
        "masks beside their images, for there is a folder of masks too",
    )
    MASK = (
        "mask (score a folder of masks by naming it)",
        "masks (score a folder of masks by naming it)",
    )
    RESULT = "result of an earlier prediction", "results of earlier predictions"
    DEPTH = "depth map", "depth maps"
    VALIDATION = (
        "image for validation, neither trained nor tested on",
        "images for validation, neither trained nor tested on",
    )
    NO_LABEL = "test image without a label", "test images without labels"
    MISSED_LINK = (
        "link to a folder that is read already",
        "links to folders that are read already",
    )
    UNREADABLE = "folder that can't be listed", "folders that can't be listed"
    EMPTY = "empty folder", "empty folders"
    HIDDEN_IMAGE = (
        "hidden image, of a name or folder with a dot in front",
        "hidden images, of names or folders with a dot in front",
    )
    HIDDEN = "hidden file", "hidden files", True
    DOCUMENT = "text or list for people", "texts and lists for people", True
    NOT_CHOSEN = (
        "file of categories that are not chosen",
        "files of categories that are not chosen",
        True,
    )

    def __init__(self, one: str, many: str, quiet: bool = False):
        self.one = one
        self.many = many
        self.quiet = quiet

    def count(self, number: int) -> str:
        """The reason with a number."""
        return f"{number} {self.one if number == 1 else self.many}"


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

        Hidden files that are no images, texts and categories that were not chosen are
        nothing to speak of.

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
