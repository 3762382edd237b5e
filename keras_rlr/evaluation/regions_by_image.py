from collections.abc import Callable, Sequence
from typing import Any

from keras_rlr.category_names import known_name
from keras_rlr.datasets.mask_files import read_mask_as_it_is
from keras_rlr.datasets.mask_folder import MaskFolder
from keras_rlr.detectors.region_of_interest import RegionOfInterest
from keras_rlr.image_size import height_and_width
from keras_rlr.inputs.read_ahead import read_ahead
from keras_rlr.printable import name_some

_SHOWN = 3


class RegionsByImage:
    """Where to look on each image, from folders of masks that lie as the images do.

    Called with the paths of images, it reads all masks at once, so that a malformed one
    is refused before any image is scored. It returns a list that `WhereToLook` takes.

    Args:
        folders: Pairs of a `MaskFolder` and whether its masks are of what to ignore.
        size: Side of the model's maps, or (height, width).
        beside: The `RegionOfInterest` that holds on all images too, or None.
        tell: Called with a sentence: for how many images there are masks.
        categories: Of the model, for the message where no image has a mask.
    """

    def __init__(
        self,
        folders: Sequence[tuple[MaskFolder, bool]],
        size: Any,
        beside: RegionOfInterest | None,
        tell: Callable[[str], None],
        categories: Sequence[str] = (),
    ) -> None:
        self.beside = beside
        self._folders = folders
        self._size = height_and_width(size)
        self._tell = tell
        self._categories = categories
        self._black: list[str] = []

    def __call__(self, paths: Sequence[str]) -> list[str | None]:
        """Returns of each image its region as text, or None for all of it.

        Args:
            paths: Of the images below their folder, with forward slashes.

        Raises:
            ValueError: If a mask can't be read, leaves nothing to look at, or none is
                of these images.
        """
        for folder, is_ignored in self._folders:
            self._count(folder, is_ignored, paths)
        self._black = []
        regions = list(read_ahead(self._of_image, paths))
        if self._black:
            self._tell(
                f"--ignore: the masks of {len(self._black)} images have no pixel above "
                f"0, so nothing is ignored there: {name_some(self._black, _SHOWN)}."
            )
        return regions

    def _count(self, folder, is_ignored, paths):
        found = sum(folder.of_image(path) is not None for path in paths)
        if not found:
            raise ValueError(self._no_masks(folder, paths[0]))
        option, whole = "--roi", "all is looked at"
        if is_ignored:
            option, whole = "--ignore", "nothing is ignored"
        others = len(paths) - found
        rest = f"; in the other {others} {whole}" if others else ""
        strange = folder.of_no_image(paths)
        if strange:
            names = ", ".join(strange[:_SHOWN])
            more = ", …" if len(strange) > _SHOWN else ""
            are = "mask is" if len(strange) == 1 else "masks are"
            rest += f"; {len(strange)} {are} of no image ({names}{more})"
        self._tell(
            f"{option}: '{folder.path}' has masks by image, for {found} of "
            f"{len(paths)} images{rest}."
        )

    def _no_masks(self, folder, first):
        known = self._categories
        strange = [name for name in folder.names if not known_name(name, known)]
        names = ", ".join(strange[:_SHOWN]) + (", …" if len(strange) > _SHOWN else "")
        expected = (folder.path / first).with_suffix(".png")
        return (
            f"'{folder.path}' has no mask of an image, and masks that are not called "
            f"as a category ({names}). Expected masks that lie as the images do, "
            f"'{expected}' for '{first}', or one a category: the model knows "
            f"{', '.join(known) or 'none'}."
        )

    def _of_image(self, path):
        region = None
        for folder, is_ignored in self._folders:
            file = folder.of_image(path)
            if file is None:
                continue
            of = RegionOfInterest.ignoring if is_ignored else RegionOfInterest.of
            try:
                mask = read_mask_as_it_is(file)
                if is_ignored and not mask.any():
                    self._black.append(path)
                    continue
                own = of(mask, self._size)
                region = own if region is None else region.within_too(own)
            except ValueError as error:
                raise ValueError(f"The mask of '{path}', '{file}': {error}") from error
        return None if region is None else region.as_text()
