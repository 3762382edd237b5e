from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rlr.datasets.image_files import decode
from keras_rlr.detectors.decision_thresholds import decide
from keras_rlr.evaluation.overlay import HeatScale, draw_overlay
from keras_rlr.evaluation.regions import regions
from keras_rlr.inputs.host_batches import resized_image
from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.inputs.pillow_images import image_to_array
from keras_rlr.inputs.read_ahead import read_ahead
from keras_rlr.inputs.value_ranges import check_bit_depth

# What the page shows at most, and so all of a photograph that is kept.
_SHOWN_SIDE = 512


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """An image that was dropped on the page, and what the model says of it.

    Args:
        path: Where its file is.
        error: Why it could not be read, or "".
        pixels: uint8 array (h, w, 3), 512 pixels high and wide at most; or None.
        anomaly_map: float32 array (height, width), or None.
        score: The anomaly score, or None.
        threshold: That of the product that was recognised, or of all images.
        is_known_category: Whether it shows a product that the model knows, as far as
            it knows any.
        category: The product that was recognised, or None.

    Example:

    >>> image = ScoredImage("a.png", "", np.zeros((4, 4, 3), "uint8"),
    ...                     np.zeros((4, 4), "float32"), 0.5)
    >>> image.decision(0.4), image.picture(0.4).size
    ('anomalous', (604, 256))
    """

    path: str
    error: str = ""
    pixels: np.ndarray | None = None
    anomaly_map: np.ndarray | None = None
    score: float | None = None
    threshold: float | None = None
    is_known_category: bool = True
    category: str | None = None

    @property
    def name(self):
        """The file's name."""
        return Path(self.path).name

    def decision(self, threshold=None):
        """The words "anomalous", from the threshold on, or "normal"; or the error.

        Args:
            threshold: None for the image's own, which makes an image of no known
                product anomalous.
        """
        if self.error:
            return self.error
        if threshold is None:
            if not self.is_known_category:
                return "anomalous: no known product"
            threshold = self.threshold
        return "anomalous" if decide(self.score, threshold) else "normal"

    def regions(self, pixel_threshold):
        """The `Region`s of its map, in pixels of the map.

        Args:
            pixel_threshold: The value of the map from which on pixels are anomalous.
        """
        return regions(self.anomaly_map, pixel_threshold)

    def picture(self, threshold=None, pixel_threshold=None):
        """A PIL image: the image, its map over it, and the colours' legend.

        Args:
            threshold: That of the colours; None for the image's own.
            pixel_threshold: The value of the map from which on pixels are anomalous,
                to have regions outlined; or None.
        """
        mask = None
        if pixel_threshold is not None:
            mask = self.anomaly_map >= pixel_threshold
        own = self.threshold if threshold is None else threshold
        scale = HeatScale.of_threshold(own)
        return draw_overlay(
            self.pixels,
            self.anomaly_map,
            scale,
            mask,
            max_side=_SHOWN_SIDE,
            score=self.score,
        )


def score_files(model, paths):
    """Scores image files, turned upright as their EXIF data say.

    Args:
        model: An `RLR` model.
        paths: Paths of the files.

    Returns:
        List of a `ScoredImage` for each path. One that can't be read has an error,
        and the others are scored.

    Example:

    ```python
    model = keras.saving.load_model("runs/visa/model.keras")
    (image,) = score_files(model, ["photograph.jpg"])
    image.picture(model.threshold).show()
    ```
    """
    bit_depth = model.bit_depth

    def read(path):
        """What is needed of an image, so that it itself is soon forgotten."""
        try:
            image = decode(Path(path), _upright)
            check_bit_depth(image, bit_depth, f"'{path}'")
            small = resized_image({"image": image}, 0, model.map_size, bit_depth)
            return small, _shown(image, bit_depth), ""
        except (OSError, ValueError) as error:
            # The place is the server's own; the user knows the file by its name.
            return None, None, str(error).replace(str(path), Path(path).name)

    done = list(read_ahead(read, paths))
    resized = [small for small, _, error in done if not error]
    rows: Any = iter(())
    if resized:
        output = model.predict(resized, verbose=0, original_size=False)
        numbers = output.get("category")
        own = np.broadcast_to(model.thresholds.of_images(numbers), len(resized))
        known = np.ones(len(resized), bool) if numbers is None else numbers >= 0
        names = [None] * len(resized)
        if numbers is not None:
            # -1 is the last.
            names = [(*model.known_categories, None)[number] for number in numbers]
        parts = (output["anomaly_map"], output["anomaly_score"], own, known, names)
        rows = zip(*parts, strict=True)
    scored = []
    for path, (_, pixels, error) in zip(paths, done, strict=True):
        if error:
            scored.append(ScoredImage(path, error))
        else:
            anomaly_map, score, own, known, name = next(rows)
            facts = (anomaly_map, float(score), own, bool(known), name)
            scored.append(ScoredImage(path, "", pixels, *facts))
    return scored


def _upright(image):
    from PIL import ImageOps

    # What is wrong with the pixels is told before the EXIF data are looked at, for an
    # image that failed once may be given again without its end.
    image.load()
    try:
        turned = ImageOps.exif_transpose(image)
    # EXIF data that make no sense meet Pillow's parser with nearly anything.
    except Exception:
        turned = image
    return image_to_array(turned)


def _shown(image, bit_depth):
    """uint8 RGB of an image, made smaller if it is large."""
    factor = min(1.0, _SHOWN_SIDE / max(image.shape[:2]))
    size = tuple(max(1, round(side * factor)) for side in image.shape[:2])
    return to_resized_rgb(image, size, "an image", bit_depth).round().astype("uint8")
