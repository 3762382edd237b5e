"""Pictures of what a model finds."""

import math
from dataclasses import dataclass

import numpy as np

from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.inputs.masks import resize_mask
from keras_rlr.inputs.resize import resize_images
from keras_rlr.layers.anomaly_score import gaussian_matrix

_SIGMA = 4.0
# Larger maps are shown no better and take the memory of several.
_LONGEST_MAP = 1024
_OPACITY = 0.7
# Dark violet over red to light yellow: even to the eye, in print, to the colour-blind.
_COLOURS = "inferno"
_GAP = 8
_LEGEND = 76
_OUTLINE = (64, 255, 255)


@dataclass(frozen=True)
class HeatScale:
    """Which anomaly values the colours of a heat overlay stand for.

    One scale is for all pictures that one threshold decides, so that two of them can be
    compared and normal images stay quiet; a scale of each picture's own would make them
    all glow.

    Args:
        low: Where colour begins; values below are left uncoloured.
        high: Where the colours end.
        threshold: The model's threshold, marked in the legend, or None.

    Example:

    >>> HeatScale.of_scores([0.5, 1.5]).high
    1.5
    """

    low: float
    high: float
    threshold: float | None = None

    def __post_init__(self):
        """Refuses a scale without extent."""
        if not (math.isfinite(self.low) and self.low < self.high < math.inf):
            raise ValueError(
                "A heat scale needs finite low < high. Received: "
                f"{self.low!r} and {self.high!r}."
            )

    @classmethod
    def of_threshold(cls, threshold):
        """The scale of a calibrated model, from just below its threshold on."""
        # Scores of some methods are below 0 where an image is normal.
        size = max(abs(threshold), 1e-6)
        return cls(threshold - 0.25 * size, threshold + size, threshold)

    @classmethod
    def of_scores(cls, scores):
        """The scale of a run without a threshold, from all its images' scores."""
        low, high = float(np.min(scores)), float(np.max(scores))
        return cls(low, high if high > low else low + max(abs(low), 1e-6))

    def position(self, values):
        """Where values are on the scale: 0 at `low`, 1 at `high`, clipped."""
        return np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0)


def draw_overlay(
    image,
    anomaly_map,
    scale,
    mask=None,
    max_side=512,
    more=(),
    bit_depth=None,
    score=None,
):
    """Draws an image beside itself with its anomaly map laid over it.

    Colour passes the threshold exactly where the image counts as anomalous: the map's
    highest value is drawn as the image's score. Where that is the peak of the smoothed
    map, as by default of RLR, the smoothed map is drawn; where a method scores
    otherwise, the map itself, in units of the score.

    Args:
        image: Array (height, width, channels), as for `RLR.predict`.
        anomaly_map: float array (S, S).
        scale: A `HeatScale`, the same for all pictures of a run.
        mask: Array (height, width), above 0 where a defect is, to be outlined; or
            None.
        max_side: The image is drawn at most so many pixels high and wide.
        more: Further pictures, arrays (h, w, 3) in 0-255, to show beside it.
        bit_depth: As of `RLR`, for uint16 images.
        score: The image's anomaly score, or None: that of the smoothed map.

    Returns:
        A PIL image: the image, the overlay, what else is to be shown, and the legend
        from left to right.

    Example:

    ```python
    output = model.predict(images)
    scale = HeatScale.of_threshold(model.threshold)
    score = output["anomaly_score"][0]
    picture = draw_overlay(images[0], output["anomaly_map"][0], scale, score=score)
    picture.save("overlay.png")
    ```
    """
    panels = overlay_panels(image, anomaly_map, scale, mask, max_side, bit_depth, score)
    height, width = panels[0].shape[:2]
    more = [resize_images(picture, (height, width)) for picture in more]
    return side_by_side([*panels, *more], scale)


def overlay_panels(
    image, anomaly_map, scale, mask=None, max_side=512, bit_depth=None, score=None
):
    """An image, and the image with its map over it.

    Args:
        image: See `draw_overlay`, as are the others.
        anomaly_map: float array (S, S).
        scale: A `HeatScale`.
        mask: Array (height, width) to be outlined, or None.
        max_side: The longest side of a panel.
        bit_depth: As of `RLR`.
        score: The image's anomaly score, or None.

    Returns:
        List of two float arrays (h, w, 3) in 0-255.
    """
    rgb = shown_pixels(image, max_side, bit_depth)
    height, width = rgb.shape[:2]
    heat = in_units_of_score(_reduced(anomaly_map), score)
    heat = resize_images(heat[..., None], (height, width))[..., 0]
    blended = _blend(rgb, scale.position(heat))
    if mask is not None:
        inside = shown_mask(mask, height, width)
        blended[_border(inside)] = _OUTLINE
    return [rgb, blended]


def _reduced(anomaly_map):
    """A map of whole images' many pixels, smaller: of each block the highest value."""
    step = max(anomaly_map.shape) // _LONGEST_MAP
    if step < 2:
        return anomaly_map
    height, width = (side // step * step for side in anomaly_map.shape)
    blocks = anomaly_map[:height, :width].reshape(
        height // step, step, width // step, step
    )
    return blocks.max(axis=(1, 3))


def shown_pixels(image, max_side=512, bit_depth=None):
    """An image as panels show it, float32 (h, w, 3) in 0-255.

    Of what this returns it makes the same again.

    Args:
        image: See `draw_overlay`, as are the others.
        max_side: The longest side.
        bit_depth: As of `RLR`.
    """
    image = np.asarray(image)
    longest = max(image.shape[:2])
    # Small images are enlarged so that the map's detail can be seen.
    factor = np.clip(longest, min(256, max_side), max_side) / longest
    size = tuple(max(1, round(side * factor)) for side in image.shape[:2])
    return np.clip(to_resized_rgb(image, size, "an image", bit_depth), 0, 255)


def side_by_side(panels, scale):
    """A PIL image of panels of one size, with the legend of the scale at the right.

    Args:
        panels: Float arrays (h, w, 3) in 0-255.
        scale: A `HeatScale`.
    """
    from PIL import Image

    height, width = panels[0].shape[:2]
    step = width + _GAP
    picture = Image.new("RGB", (len(panels) * step + _LEGEND, height), "white")
    for number, panel in enumerate(panels):
        picture.paste(_image(panel), (number * step, 0))
    picture.paste(_legend(scale, height), (len(panels) * step, 0))
    return picture


def _blend(rgb, position):
    # Late, because an import of this package is not to wait for Matplotlib.
    from matplotlib import colormaps

    opacity = _OPACITY * np.minimum(position * 2, 1.0)[..., None]
    colours = 255 * colormaps[_COLOURS](position)[..., :3].astype("float32")
    return rgb * (1 - opacity) + colours * opacity


def in_units_of_score(anomaly_map, score):
    """The map that overlays show, whose largest value is the image's score.

    Args:
        anomaly_map: float array (S, S).
        score: The image's anomaly score, or None: that of the smoothed map.

    Returns:
        The smoothed map, where its peak is the score, else the map itself, scaled.
    """
    anomaly_map = np.asarray(anomaly_map, "float32")
    smooth = _smooth(anomaly_map)
    if score is None or math.isclose(smooth.max(), score, rel_tol=1e-3):
        return smooth
    peak = float(anomaly_map.max())
    if peak > 0 and score > 0:
        return anomaly_map * (score / peak)
    return anomaly_map + (score - peak)


def _smooth(anomaly_map):
    height, width = anomaly_map.shape
    rows, columns = (gaussian_matrix(side, _SIGMA) for side in (height, width))
    return rows @ anomaly_map @ columns.T


def shown_mask(mask, height, width):
    """Where a picture of (height, width) pixels shows a mask as anomalous.

    Args:
        mask: Array (h, w) or (h, w, 1), above 0 where anomalous.
        height: Of the picture.
        width: Of the picture.
    """
    mask = np.asarray(mask)
    return resize_mask(mask.reshape(mask.shape[:2]), height, width) > 0


def _border(inside):
    """Pixels of a region with a neighbour outside of it."""
    padded = np.pad(inside, 1)
    core = padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    return inside & ~core


def _legend(scale, height):
    from PIL import Image, ImageDraw

    legend = Image.new("RGB", (_LEGEND, height), "white")
    top, bottom = 6, max(height - 6, 8)
    positions = np.linspace(1.0, 0.0, bottom - top)
    # The colours as they look over a middle grey, faint at the low end.
    column = _blend(np.full((bottom - top, 1, 3), 128.0, "float32"), positions[:, None])
    legend.paste(_image(np.repeat(column, 14, axis=1)), (0, top))
    draw = ImageDraw.Draw(legend)

    def mark(value, words):
        y = top + (1 - scale.position(value)) * (bottom - top - 1)
        draw.line([(0, y), (17, y)], fill="black")
        place = min(max(y - 6, 0), height - 12 * (1 + words.count("\n")))
        draw.text((20, place), words, fill="black")

    mark(scale.high, f"{scale.high:.3g}")
    mark(scale.low, f"{scale.low:.3g}")
    if scale.threshold is not None:
        mark(scale.threshold, f"{scale.threshold:.3g}\nthreshold")
    return legend


def _image(pixels):
    from PIL import Image

    return Image.fromarray(np.round(np.clip(pixels, 0, 255)).astype("uint8"))
