import unicodedata
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from keras_rlr.category_names import known_name
from keras_rlr.datasets.find_images import account_for_images
from keras_rlr.datasets.mask_files import MASK_SUFFIXES_IN_WORDS


class MaskFolder:
    """A folder of masks: one a category, called as it is, or one an image.

    The masks of images lie as the images do, `a/b.png` for `a/b.jpg`. Masks of
    categories lie in the folder itself.

    Args:
        path: The folder.

    Raises:
        FileNotFoundError: If it is not there, or has no images.
        ValueError: If two files would be the mask of one image.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        account = account_for_images(self.path)
        if left_out := account.left_out.summary():
            warnings.warn(left_out, stacklevel=3)
        self._files: dict[str, Path] = {}
        for file in account.images:
            name = _name_of(file.relative_to(self.path).as_posix())
            if name in self._files:
                raise ValueError(
                    f"'{self._files[name]}' and '{file}' are masks of the same images. "
                    "Remove one."
                )
            self._files[name] = file
        if not self._files:
            raise FileNotFoundError(
                f"There are no masks in '{self.path}'. Expected "
                f"{MASK_SUFFIXES_IN_WORDS} files: one a category, called as it is, or "
                "one an image, that lie as the images do."
            )

    @property
    def names(self) -> list[str]:
        """What the masks are called, with their folders and without suffix, sorted.

        In composed Unicode, whatever their files' names are in.
        """
        return sorted(self._files)

    @property
    def is_flat(self) -> bool:
        """Whether no mask is in a folder below."""
        return not any("/" in name for name in self._files)

    def is_by_category(self, categories: Collection[str]) -> bool:
        """Whether every mask is called like a category.

        Args:
            categories: Names.
        """
        return all(known_name(name, categories) for name in self._files)

    def file(self, name: str) -> Path:
        """The file of a mask by its name in `names`."""
        return self._files[name]

    def of_image(self, path: str) -> Path | None:
        """The mask of an image, or None.

        Args:
            path: Of the image below the folder of images, with forward slashes.
        """
        return self._files.get(_name_of(path))

    def of_no_image(self, paths: Iterable[str]) -> list[str]:
        """The names of the masks that are of none of some images, sorted.

        Args:
            paths: See `of_image`.
        """
        return sorted(set(self._files) - set(map(_name_of, paths)))


def _name_of(path):
    # Images and masks may have come by other ways: see `known_name`.
    return unicodedata.normalize("NFC", PurePosixPath(path).with_suffix("").as_posix())
