import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_rlr.atomic_array import write_array
from keras_rlr.atomic_file import atomic_path
from keras_rlr.inputs.resize import resize_maps
from keras_rlr.tables.table_text import table_text

MAPS = "anomaly_maps"
KINDS = ("npy", "tiff")
SCALED = "tiff"
_SCALES = "scales.csv"
_HIGHEST = np.iinfo("uint16").max
_IMAGE_DESCRIPTION = 270


def map_paths(output: Path, names: Iterable[Path], kind: str) -> list[Path]:
    """The files that `MapFiles` writes, the table first.

    Args:
        output: The folder for all of it.
        names: The paths of pictures of the images below their folder.
        kind: "npy" or "tiff".
    """
    folder = output / MAPS
    tables = [folder / _SCALES] if kind == SCALED else []
    return tables + [(folder / name).with_suffix(f".{kind}") for name in names]


class MapFiles:
    """The anomaly maps of many images, as files, at the images' sizes.

    `anomaly_maps/` mirrors the tree of the images. A `.npy` file has the values as
    float32. A `.tiff` file has them in 16 bits: a value of the map is offset + scale ×
    the pixel, where 0 is the smallest of the map and 65535 the largest. Offset and
    scale are in its tag ImageDescription, as JSON, and in `anomaly_maps/scales.csv`.

    Args:
        output: The folder for them.
        kind: "npy" or "tiff".
    """

    def __init__(self, output: Path, kind: str) -> None:
        if kind not in KINDS:
            raise ValueError(
                f"Maps are written as {' or '.join(KINDS)}. Received: {kind!r}."
            )
        self._output, self._folder, self._kind = output, output / MAPS, kind
        self._scales: list[tuple[str, float, float]] = []

    def paths(self, names: Iterable[Path]) -> list[Path]:
        """See `map_paths`."""
        return map_paths(self._output, names, self._kind)

    def write(self, row: Any, name: Path, size: Any, anomaly_map: Any) -> Any:
        """Writes the map of an image; on any thread.

        Args:
            row: The `Prediction`.
            name: The path of a picture of it below its folder.
            size: (height, width) of the image.
            anomaly_map: Its map as the model gives it.

        Returns:
            What `keep` takes.
        """
        (path,) = map_paths(self._output, [name], self._kind)[-1:]
        values = np.asarray(resize_maps([anomaly_map], [size])[0], "float32")
        if self._kind == SCALED:
            return _write_tiff(path, values)
        write_array(path, values)
        return None

    def keep(self, row: Any, place: int, written: Any) -> None:
        """Notes the scale of a map, for `save`; on one thread.

        Args:
            row: The `Prediction`.
            place: Of the image among all.
            written: What `write` returned.
        """
        if written is not None:
            self._scales.append((row.path, *written))

    def save(self) -> None:
        """Writes `scales.csv` with all maps that were kept, if they have scales."""
        if self._kind != SCALED:
            return
        text = table_text([("path", "offset", "scale"), *self._scales])
        with atomic_path(self._folder / _SCALES) as temporary:
            temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def _write_tiff(path, values):
    from PIL import Image

    offset, highest = float(values.min()), float(values.max())
    # A map of one value is all 0.
    scale = (highest - offset) / _HIGHEST or 1.0
    pixels = np.round((values - np.float32(offset)) / np.float32(scale))
    pixels = np.clip(pixels, 0, _HIGHEST).astype("uint16")
    tags = {_IMAGE_DESCRIPTION: json.dumps({"offset": offset, "scale": scale})}
    # Pillow gives libtiff the name, which fails if it is no UTF-8.
    written = io.BytesIO()
    Image.fromarray(pixels).save(
        written, "TIFF", compression="tiff_adobe_deflate", tiffinfo=tags
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(written.getvalue())
    return offset, scale
