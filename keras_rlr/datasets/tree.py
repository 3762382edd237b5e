"""Everything below a folder, read once."""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.folder_names import (
    is_document,
    is_junk_file,
    is_junk_folder,
    thumbnail_of,
)
from keras_rlr.datasets.image_files import IMAGE_SUFFIXES
from keras_rlr.datasets.left_out import Reason
from keras_rlr.datasets.prediction_record import RECORD, names_beside

# Tables for people, and what has another reason already, are no news.
_LIKE_DATA = (None, Reason.UNKNOWN)


@dataclass
class Tree:
    """All files and folders below a folder.

    Args:
        root: the folder.
        files: every file, with the reason to leave it out, None for images.
        folders: the folders that are left out, with the reason.
        has_links: whether there is a link that leads somewhere.
    """

    root: Folder
    files: dict[Path, Reason | None] = field(default_factory=dict)
    folders: dict[Path, Reason] = field(default_factory=dict)
    has_links: bool = False

    @property
    def unreadable(self) -> list[Path]:
        """Folders that can't be listed, in no hidden one."""
        return [p for p, why in self.folders.items() if why is Reason.UNREADABLE]


def read_tree(path: Path) -> Tree:
    """Walks through a folder and all folders below it.

    Links to folders are followed, but within each folder at the top every folder is
    read once, in its own place rather than through a link, and those around `path`
    never. What predictions wrote is left out, by the record that lies beside it, and
    no folder of it alone is in the tree.

    Args:
        path: an existing folder.

    Returns:
        A `Tree`; its paths start with `path`.

    Raises:
        OSError: if `path` itself can't be listed.
        ValueError: if the record of what a prediction wrote is damaged.
    """
    return _Walk(path).tree


def is_hidden_image(name: str) -> bool:
    """Whether a file that is hidden, itself or by a folder, is called like an image.

    What macOS keeps beside each file on foreign disks, `._a.png`, is none.

    Args:
        name: of the file, without folders.
    """
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("._")


@dataclass
class _Place:
    folder: Folder
    top: str
    reason: Reason | None = None  # why all that is in it is left out


class _Walk:
    def __init__(self, path: Path):
        self.tree = Tree(Folder(path))
        real = path.resolve()
        self.around = {str(real), *map(str, real.parents)}
        self.entered: dict[str, set[str]] = defaultdict(set)
        self.links: list[_Place] = []
        self.records: list[Path] = []
        self.found: list[tuple[Folder, Folder]] = []  # where it is, and a folder in it
        places = [_Place(self.tree.root, "")]
        while places or self.links:
            # Links wait until all real folders are read.
            places += self._read(places.pop() if places else self.links.pop(0))
        for parent, child in sorted(self.found, key=lambda pair: pair[1].path):
            if self.tree.folders.get(child.path) is not Reason.MISSED_LINK:
                parent.folders[child.name] = child
        self._leave_out_results()

    def _read(self, place: _Place) -> list[_Place]:
        """Reads a folder; returns the folders in it."""
        path = place.folder.path
        if place.reason is None and path != self.tree.root.path:
            real = os.path.realpath(path)
            if real in self.around or real in self.entered[place.top]:
                self.tree.folders[path] = Reason.MISSED_LINK
                return []
            self.entered[place.top].add(real)
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            if path == self.tree.root.path:
                raise
            self.tree.folders[path] = place.reason or Reason.UNREADABLE
            return []
        if not entries:
            self.tree.folders[path] = place.reason or Reason.EMPTY
        places = [inner for entry in entries if (inner := self._add(place, entry))]
        _leave_out_thumbnails(place.folder, self.tree)
        return places

    def _add(self, place: _Place, entry: os.DirEntry) -> _Place | None:
        path = place.folder.path / entry.name
        is_link = entry.is_symlink()
        is_folder = os.path.isdir(path) if is_link else entry.is_dir()
        reason = place.reason or _reason(entry.name, is_folder)
        if is_folder:
            if is_link and reason:
                self.tree.folders[path] = reason
                return None
            inner = _Place(Folder(path), place.top or entry.name, reason)
            if reason is None:
                self.found.append((place.folder, inner.folder))
            if is_link:
                self.tree.has_links = True
                self.links.append(inner)
                return None
            return inner
        is_file = os.path.isfile(path) if is_link else entry.is_file()
        if not is_file and reason not in (Reason.HIDDEN, Reason.JUNK):
            reason = Reason.BROKEN_LINK if is_link else Reason.SPECIAL
        if is_file and reason is Reason.HIDDEN and is_hidden_image(entry.name):
            reason = Reason.HIDDEN_IMAGE
        if is_file and entry.name == RECORD and place.reason is None:
            self.records.append(path)
        self.tree.has_links |= is_link
        self.tree.files[path] = reason
        if reason is None:
            place.folder.images.append(path)
        return None

    def _leave_out_results(self) -> None:
        """Leaves out what predictions wrote: overlays look like photographs."""
        files = self.tree.files
        results = {
            record.parent / name
            for record in self.records
            for name in names_beside(str(record), record.read_bytes())
        }
        results = {path for path in results if files.get(path, 0) in _LIKE_DATA}
        files.update(dict.fromkeys(results, Reason.RESULT))
        if results:
            _remove_images(self.tree.root, results)


def _reason(name: str, is_folder: bool) -> Reason | None:
    """Why a name is left out; None if it is an image's, or a folder's to look into."""
    if is_junk_folder(name) if is_folder else is_junk_file(name):
        return Reason.JUNK
    if name.startswith("."):
        return Reason.HIDDEN
    if is_folder or name.lower().endswith(IMAGE_SUFFIXES):
        return None
    if is_document(name):
        return Reason.DOCUMENT
    return Reason.UNKNOWN if os.path.splitext(name)[1] else Reason.NO_SUFFIX


def _remove_images(folder: Folder, images: set[Path]) -> None:
    """Removes images from a folder, and the folders that have no others."""
    folder.images = [image for image in folder.images if image not in images]
    for name, child in list(folder.folders.items()):
        if child.has_images():
            _remove_images(child, images)
            if not child.has_images():
                del folder.folders[name]


def _leave_out_thumbnails(folder: Folder, tree: Tree) -> None:
    stems = {image.stem for image in folder.images}
    small = {image for image in folder.images if thumbnail_of(image.stem) in stems}
    folder.images = [image for image in folder.images if image not in small]
    tree.files.update(dict.fromkeys(small, Reason.JUNK))
