from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.image_files import SUFFIXES_IN_WORDS, check_folder
from keras_rlr.datasets.layouts import find_layout
from keras_rlr.datasets.reading import SPLITS, Reading
from keras_rlr.datasets.tree import read_tree


@dataclass(frozen=True)
class ReadDataset:
    """A data set's folder as it was read.

    Args:
        reading: what every file below it is used as, and what is wrong.
        categories: the names of the categories, sorted.
        empty: why a category's split that has no images is empty, by both names.
    """

    reading: Reading
    categories: list[str]
    empty: dict[tuple[str, str], str]


def read_dataset(path: Path) -> ReadDataset:
    """Says of every file below a folder what it is used as, or why it is left out.

    Args:
        path: the data set's folder, in any layout.

    Returns:
        A `ReadDataset`.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if it is a file.
        UnknownLayoutError: if it is laid out in none of the known ways.
        ValueError: if it is laid out in one of them, but can't be read.
    """
    check_folder(path)
    tree = read_tree(path)
    layout, found, warnings = find_layout(tree.root)
    reading = Reading(tree, layout.NAME)
    reading.warnings += warnings
    for category in sorted(found):
        layout.read_category(reading, category, found[category])
        if isinstance(found[category], Folder):
            _refuse_unreadable(reading, category, found[category])
    reading.refuse_shared_files()
    empty = {
        (category, split): _empty(reading, layout, found[category], category, split)
        for category in sorted(found)
        for split in SPLITS
        if not reading.samples(category, split)
    }
    return ReadDataset(reading, sorted(found), empty)


def _refuse_unreadable(reading: Reading, category: str, folder: Folder) -> None:
    for path in reading.tree.unreadable:
        if path.is_relative_to(folder.path):
            reading.refuse(
                category,
                f"The folder '{path}' can't be listed. Give yourself the right to "
                "read it, or remove it.",
            )


def _empty(reading: Reading, layout: Any, found: Any, category: str, split: str) -> str:
    kind = "normal images" if split == "train" else "images"
    sentence = (
        f"There are no images in '{layout.expected_place(found, split)}'. Put {kind} "
        f"there ({SUFFIXES_IN_WORDS}), or leave the category '{category}' out."
    )
    below = ""
    if isinstance(found, Folder) and found.path != reading.root:
        below = found.path.relative_to(reading.root).as_posix()
    left_out = reading.account().left_out.summary(below)
    return f"{sentence} {left_out}".strip()
