from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_rlr.datasets.image_files import decode, image_to_array
from keras_rlr.detectors.decision_thresholds import decide
from keras_rlr.evaluation.overlay import HeatScale, draw_overlay
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
        anomaly_map: float32 array (S, S), or None.
        score: The anomaly score, or None.

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

    @property
    def name(self):
        """The file's name."""
        return Path(self.path).name

    def decision(self, threshold):
        """The words "anomalous", from the threshold on, or "normal"; or the error."""
        if self.error:
            return self.error
        return "anomalous" if decide(self.score, threshold) else "normal"

    def picture(self, threshold):
        """A PIL image: the image, its map over it, and the colours' legend."""
        scale = HeatScale.of_threshold(threshold)
        return draw_overlay(self.pixels, self.anomaly_map, scale, max_side=_SHOWN_SIDE)


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
    images, errors = {}, {}
    bit_depth = model.bit_depth
    for path in paths:
        try:
            image = decode(Path(path), _upright)
            check_bit_depth(image, bit_depth, f"'{path}'")
            images[path] = image
        except (OSError, ValueError) as error:
            # The place is the server's own; the user knows the file by its name.
            errors[path] = str(error).replace(str(path), Path(path).name)
    scored = {path: ScoredImage(path, error) for path, error in errors.items()}
    if images:
        output = model.predict(list(images.values()), batch_size=16, verbose=0)
        for path, anomaly_map, score in zip(
            images, output["anomaly_map"], output["anomaly_score"], strict=True
        ):
            pixels = _shown(images[path], bit_depth)
            scored[path] = ScoredImage(path, "", pixels, anomaly_map, float(score))
    return [scored[path] for path in paths]


def _upright(image):
    from PIL import ImageOps

    return image_to_array(ImageOps.exif_transpose(image))


def _shown(image, bit_depth):
    """uint8 RGB of an image, made smaller if it is large."""
    from PIL import Image

    from keras_rlr.inputs.images import to_rgb

    rgb = to_rgb(image, "an image", bit_depth).round().astype("uint8")
    rgb = Image.fromarray(rgb)
    rgb.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    return np.asarray(rgb)
