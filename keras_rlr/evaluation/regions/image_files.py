import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rlr.evaluation.regions.map_files import MAPS, MapFiles
from keras_rlr.evaluation.regions.region_files import MASKS, RegionFiles
from keras_rlr.inputs.read_ahead import read_ahead

_LARGE = 4_000_000  # pixels


class ImageFiles:
    """What is written of images beside scores and overlays: regions and maps.

    Args:
        output: The folder for all of it.
        thresholds: The `DecisionThresholds` of the model.
        regions: Whether to write what `RegionFiles` does.
        maps: "npy" or "tiff" to write what `MapFiles` does, or None.

    Raises:
        ValueError: If there are to be regions, and there is no threshold.
    """

    # Folders below the output that hold images which are of no user.
    FOLDERS = (MASKS, MAPS)

    def __init__(
        self, output: Path, thresholds: Any, regions: bool, maps: str | None
    ) -> None:
        self._kinds: list[Any] = []
        if regions:
            self._kinds.append(RegionFiles(output, thresholds))
            if not self._kinds[0].has_pixel_thresholds:
                warnings.warn(
                    "The model was calibrated by an earlier version and has no pixel "
                    "threshold: regions are where the map that overlays show, whose "
                    "largest value is the image's score, reaches the threshold of "
                    "images. `keras-rlr calibrate` gives it one.",
                    stacklevel=3,
                )
        if maps:
            self._kinds.append(MapFiles(output, maps))

    def paths(self, names: Iterable[Path]) -> list[Path]:
        """The files that are written of some images, tables before pictures.

        Args:
            names: The path of a picture of each below its folder.
        """
        names = list(names)
        return [path for kind in self._kinds for path in kind.paths(names)]

    def add(
        self,
        rows: Sequence[Any],
        names: Sequence[Path],
        sizes: Mapping[int, tuple[int, int]],
        maps: Mapping[int, Any],
    ) -> None:
        """Writes what is of each image alone, and keeps the rest for `save`.

        Args:
            rows: The `Prediction`s of all images.
            names: The path of a picture of each below its folder.
            sizes: (height, width) of some images, by their place among all.
            maps: Anomaly maps of these images, or of some, as the model gives them.
        """

        def write(place):
            image = rows[place], names[place], sizes[place], maps[place]
            return place, [kind.write(*image) for kind in self._kinds]

        if not self._kinds:
            return
        # On one thread where images are large: each takes the memory of several maps.
        pixels = max((height * width for height, width in sizes.values()), default=0)
        threads = 1 if pixels > _LARGE else None
        for place, written in read_ahead(write, maps, threads=threads):
            for kind, result in zip(self._kinds, written, strict=True):
                kind.keep(rows[place], place, result)

    def save(self) -> None:
        """Writes the files that are of all images, with those that were added."""
        for kind in self._kinds:
            kind.save()
