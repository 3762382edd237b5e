"""What becomes of every file of a data set: layouts say it, and it is kept here."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keras_rlr.datasets.account import Account, Role
from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.left_out import LeftOut, Reason
from keras_rlr.datasets.sample import Sample
from keras_rlr.datasets.tree import Tree

SPLITS = ("train", "test")


@dataclass(frozen=True)
class _Problem:
    """Something in a data set's folder that must not be passed over.

    Args:
        category: whose.
        splits: those that can't be used because of it.
        sentence: what it is and what to do.
    """

    category: str
    splits: tuple[str, ...]
    sentence: str


class Reading:
    """Collects what a layout makes of a tree of files.

    Args:
        tree: the tree.
        layout: the layout's name.
    """

    def __init__(self, tree: Tree, layout: str):
        self.tree = tree
        self.root = tree.root.path
        self.layout = layout
        self._start = len((self.root / "x").as_posix()) - 1
        self.default = Reason.OUTSIDE  # of images that a layout says nothing of
        self.problems: list[_Problem] = []
        self.warnings: list[str] = []
        self._samples: dict[tuple[str, str], list[Sample]] = {}
        self._roles: dict[Path, tuple[Role, str | None]] = {}
        self._reasons: dict[Path, Reason] = {}

    def name_of(self, path: Path) -> str:
        """The path of a file below the data set's folder, with forward slashes."""
        # As `relative_to`, which is slow for so many.
        return path.as_posix()[self._start :]

    def add(self, split: str, sample: Sample) -> None:
        """Uses an image, and its masks."""
        if sample.image in self._roles:
            self.refuse(
                sample.category,
                f"'{sample.image}' is used twice. Name it once, for one split.",
            )
            return
        role = Role.TEST_ANOMALOUS if sample.label else Role.TEST_NORMAL
        role = Role.TRAIN if split == "train" else role
        self._roles[sample.image] = role, sample.category
        for mask in sample.masks:
            self._roles[mask] = Role.MASK, sample.category
        self._samples.setdefault((sample.category, split), []).append(sample)

    def use_table(self, path: Path) -> None:
        """Uses a file as a table."""
        self._roles[path] = Role.TABLE, None

    def leave_out(self, paths: Iterable[Path] | Folder, reason: Reason) -> None:
        """Leaves images out, or all that are below a folder."""
        if isinstance(paths, Folder):
            paths = paths.all_images()
        self._reasons.update(dict.fromkeys(paths, reason))

    def refuse(self, category: str, sentence: str, *splits: str) -> None:
        """Keeps what must not be passed over, of these splits or of both."""
        self.problems.append(_Problem(category, splits or SPLITS, sentence))

    def refuse_to_guess(
        self,
        category: str,
        images: Iterable[Path] | Folder,
        sentence: str,
        *splits: str,
    ) -> None:
        """Refuses images whose label is not known."""
        self.leave_out(images, Reason.GUESS)
        self.refuse(category, sentence, *splits)

    def samples(self, category: str, split: str) -> list[Sample]:
        """The images of a category's split."""
        return self._samples.get((category, split), [])

    def problems_of(self, category: str, split: str) -> list[str]:
        """Why a category's split can't be used, in sentences."""
        return [
            problem.sentence
            for problem in self.problems
            if problem.category == category and split in problem.splits
        ]

    def refuse_shared_files(self) -> None:
        """Refuses test images that are links to images that are trained on."""
        if not self.tree.has_links:
            return
        trained = {
            os.path.realpath(sample.image): sample
            for (_, split), samples in self._samples.items()
            for sample in samples
            if split == "train"
        }
        for (category, split), samples in self._samples.items():
            for sample in samples:
                real = os.path.realpath(sample.image)
                if split == "test" and real in trained:
                    self.refuse(
                        category,
                        f"The test image '{sample.image}' is the same file as "
                        f"'{trained[real].image}', which is trained on: one is a link. "
                        "Remove the link.",
                        "test",
                    )
                    break

    def account(self, chosen: Iterable[str] | None = None) -> Account:
        """What every file is used as, or why it is left out.

        Args:
            chosen: the categories that are used; None for all.
        """
        chosen = None if chosen is None else set(chosen)
        used = {}
        left_out = LeftOut(self.root)
        for path, reason in self.tree.files.items():
            name = self.name_of(path)
            role, category = self._roles.get(path, (None, None))
            if role is None:
                reason = reason or self._reasons.get(path, self.default)
                left_out.add(name, reason)
            elif chosen is not None and category is not None and category not in chosen:
                left_out.add(name, Reason.NOT_CHOSEN)
            else:
                used[name] = role, category
        for path, reason in self.tree.folders.items():
            left_out.add(self.name_of(path) + "/", reason)
        return Account(self.root, self.layout, used, left_out, tuple(self.warnings))
