import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_rlr.atomic_file import atomic_path, write_text
from keras_rlr.evaluation.overlay import in_units_of_score
from keras_rlr.evaluation.regions.find_regions import regions
from keras_rlr.inputs.resize import resize_maps

MASKS = "region_masks"
_TABLE = "regions.json"
_BY = "by keras-rlr"
# Bytes of a table with what says whose it is.
_HEAD = 400
_CATEGORY = {"id": 1, "name": "anomaly", "supercategory": "anomaly"}


def region_paths(output: Path, names: Iterable[Path]) -> list[Path]:
    """The files that `RegionFiles` writes, the table first.

    Args:
        output: The folder for all of it.
        names: The paths of masks below their folder.
    """
    return [output / _TABLE, *(output / MASKS / name for name in names)]


def is_our_table(output: Path) -> bool:
    """Whether there is a `regions.json` that `RegionFiles` wrote, and no other's.

    Args:
        output: The folder for it.
    """
    path = output / _TABLE
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _BY.encode() in file.read(_HEAD)


class RegionFiles:
    """The regions of many images: `regions.json` in COCO's format, and their masks.

    Everything is in pixels of the images as they are stored. `region_masks/` mirrors
    the tree of the images; the masks are 255 where a region is, and 0. An image without
    regions has a black one, and is among the "images" of regions.json; one that could
    not be read or scored is in neither.

    Args:
        output: The folder for them.
        thresholds: The `DecisionThresholds` of the model. If they have none for pixels,
            as of earlier versions, those of images serve: in the map that overlays
            show, whose largest value is the image's score.

    Raises:
        ValueError: If there are no thresholds.
    """

    def __init__(self, output: Path, thresholds: Any) -> None:
        if thresholds.threshold is None:
            raise ValueError(
                "The model has no threshold, so there is nothing to say where a region "
                "ends. Run `keras-rlr calibrate --model RUN --data NORMAL_IMAGES` "
                "before, or call `model.calibrate(images)`."
            )
        self._output = output
        self._path, self._masks = output / _TABLE, output / MASKS
        self._thresholds = thresholds
        self._images: list[str] = []
        self._annotations: list[str] = []

    def paths(self, names: Iterable[Path]) -> list[Path]:
        """See `region_paths`."""
        return region_paths(self._output, names)

    @property
    def has_pixel_thresholds(self) -> bool:
        """Whether regions are by thresholds of pixels, and not by those of images."""
        return self._thresholds.pixels.of_all is not None

    def write(self, row: Any, name: Path, size: Any, anomaly_map: Any) -> Any:
        """Finds the regions of an image and writes its mask; on any thread.

        Args:
            row: The `Prediction`.
            name: The path of its mask below their folder.
            size: (height, width) of the image.
            anomaly_map: Its map as the model gives it.

        Returns:
            What `keep` takes.
        """
        if self.has_pixel_thresholds:
            threshold = self._thresholds.pixels.of(row.category)
        else:
            threshold = self._thresholds.of(row.category)
            anomaly_map = in_units_of_score(anomaly_map, row.anomaly_score)
        values = resize_maps([anomaly_map], [size])[0]
        found = regions(values, threshold)
        _write_mask(self._masks / name, values >= threshold)
        return threshold, size, found

    def keep(self, row: Any, place: int, written: Any) -> None:
        """Notes the regions of an image, for `save`; on one thread.

        Args:
            row: The `Prediction`; gets the number of its regions.
            place: Of the image among all; the same in every run.
            written: What `write` returned.
        """
        threshold, (height, width), found = written
        row.regions = len(found)
        image = {
            "id": place + 1,
            "file_name": row.path,
            "width": int(width),
            "height": int(height),
            "anomaly_score": row.anomaly_score,
            "is_anomalous": row.is_anomalous,
            "product": row.category,
            "threshold": threshold,
        }
        self._images.append(json.dumps(image))
        for region in found:
            annotation = {
                "id": len(self._annotations) + 1,
                "image_id": place + 1,
                "category_id": _CATEGORY["id"],
                "bbox": region.box,
                "segmentation": [region.polygon],
                "area": region.area,
                "hole_area": region.hole_area,
                "score": region.score,
                "iscrowd": 0,
            }
            self._annotations.append(json.dumps(annotation))

    def save(self) -> None:
        """Writes `regions.json` with all images that were kept."""
        kind = "pixels of maps" if self.has_pixel_thresholds else "scores of images"
        info = {
            "description": f"Connected regions of anomaly maps, {_BY}. Polygons "
            "go around holes, too; area is without them, and hole_area theirs.",
            "threshold_of": kind,
        }
        # An entry is made text once, however often the file is written.
        parts = [
            f'"info": {json.dumps(info)}',
            f'"images": {_lines(self._images)}',
            f'"categories": {json.dumps([_CATEGORY])}',
            f'"annotations": {_lines(self._annotations)}',
        ]
        write_text(self._path, "{" + ",\n".join(parts) + "}\n")


def _lines(entries):
    return "[\n" + ",\n".join(entries) + "\n]" if entries else "[]"


def _write_mask(path, inside):
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(inside.view("uint8") * np.uint8(255)).save(temporary)
