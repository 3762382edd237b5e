from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Folder:
    """A folder that may hold images.

    Args:
        path: where it is.
        folders: the folders in it by name, sorted.
        images: the files in it that are images by their suffix, sorted.
    """

    path: Path
    folders: dict[str, "Folder"] = field(default_factory=dict)
    images: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name, without the folders it is in."""
        return self.path.name

    def has_images(self) -> bool:
        """Whether an image is in it or in a folder below."""
        return bool(self.images) or any(f.has_images() for f in self.folders.values())

    def all_images(self) -> list[Path]:
        """The images in it and in all folders below, sorted by path."""
        images = []
        stack = [self]
        while stack:
            folder = stack.pop()
            images += folder.images
            stack += folder.folders.values()
        return sorted(images, key=Path.as_posix)
