"""What every file of a data set is used as, or why it is left out."""

import enum
from dataclasses import dataclass
from pathlib import Path

from keras_rlr.datasets.left_out import LeftOut


class Role(enum.StrEnum):
    """What a file of a data set is used as."""

    TRAIN = "train normal"
    TEST_NORMAL = "test normal"
    TEST_ANOMALOUS = "test anomalous"
    MASK = "mask"
    TABLE = "table"


@dataclass(frozen=True)
class Account:
    """What every file below a data set's folder is used as, or why it is left out.

    It is of the whole folder and both splits, whichever was asked for.

    Args:
        folder: the data set's folder.
        layout: the name of its layout.
        used: role and category, None for tables, of each file that is used; by its
            path below the folder.
        left_out: the other files, and folders that are empty, can't be listed or are
            links to others.
        warnings: what else is to be known, in sentences.

    Example:

    ```python
    from keras_rlr.datasets import FolderDataset

    account = FolderDataset("products").account
    sum(account.counts.values()) == account.files
    print(account.left_out_summary())
    ```
    """

    folder: Path
    layout: str
    used: dict[str, tuple[Role, str | None]]
    left_out: LeftOut
    warnings: tuple[str, ...] = ()

    @property
    def files(self) -> int:
        """Number of all files below the folder."""
        return len(self.used) + self.left_out.files

    @property
    def counts(self) -> dict[str, int]:
        """Number of files of each role, and of those left out."""
        counts = {str(role): 0 for role in Role}
        for role, _ in self.used.values():
            counts[role] += 1
        return {**counts, "left out": self.left_out.files}

    @property
    def categories(self) -> dict[str, dict[str, int]]:
        """The same of each category that has files in use, without those left out."""
        categories: dict[str, dict[str, int]] = {}
        for role, category in self.used.values():
            if category is not None:
                roles = {str(role): 0 for role in Role if role is not Role.TABLE}
                categories.setdefault(category, roles)[role] += 1
        return dict(sorted(categories.items()))

    def left_out_summary(self) -> str:
        """One line of what is left out, naming a few; "" if it is nothing unusual."""
        summary = self.left_out.summary()
        if not summary:
            return ""
        return (
            f"{summary} `keras-rlr datasets verify --data '{self.folder}'` names all."
        )
