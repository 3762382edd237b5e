import base64
import binascii
import re
import zlib

import numpy as np
from keras import ops

from keras_rlr.inputs.images import to_array
from keras_rlr.inputs.masks import to_small_mask

_TEXT = re.compile(r"(\d{1,5})x(\d{1,5}):([A-Za-z0-9+/=]+)", re.ASCII)

# Of a text in a model's file: no mask of a camera is larger.
_MOST_PIXELS = 2**28


class RegionOfInterest:
    """Where on an image anomalies count; elsewhere are fixtures, say, or labels.

    Outside of it a map has the lowest value of the image's map. A score is brought down
    as much as the map's peak is; where the peak lies inside, it stays to the last bit.

    Args:
        inside: Boolean array (height, width), of the size of maps.
    """

    def __init__(self, inside):
        self.inside = inside

    @classmethod
    def of(cls, given, size):
        """Returns the region that a user gave, or None.

        Args:
            given: None; a mask (height, width) of any size, above 0 where to look; a
                box (left, top, width, height) in shares of the image's sides; or what
                `as_text` returned.
            size: (height, width) of maps.

        Raises:
            ValueError: If it is none of these, or nothing would be left.
        """
        if given is None:
            return None
        if isinstance(given, str):
            mask = _of_text(given)
        elif isinstance(given, tuple | list) and len(given) == 4:
            mask = _of_box(given, size)
        else:
            mask = to_array(given)
        inside = to_small_mask(mask, size)
        if not inside.any():
            raise ValueError(
                "The region of interest has no pixel, so nothing would be looked at. "
                "Masks are above 0 where to look."
            )
        return cls(inside)

    def as_text(self):
        """The region as text, for a configuration."""
        height, width = self.inside.shape
        packed = zlib.compress(np.packbits(self.inside).tobytes(), 9)
        return f"{height}x{width}:{base64.b64encode(packed).decode()}"

    def within(self, outputs):
        """Returns what a model says of images, of the region alone.

        Args:
            outputs: Dict of tensors; without "anomaly_map" they are returned as they
                are. "score_map", which is not returned, is the map that the scores are
                of, if that is another.
        """
        if "anomaly_map" not in outputs:
            return outputs
        outputs = dict(outputs)
        whole = ops.convert_to_tensor(outputs["anomaly_map"])
        shown = self._shown(whole)
        before, after = whole, shown
        if "score_map" in outputs:
            before = ops.convert_to_tensor(outputs.pop("score_map"))
            after = self._shown(before)
        before, after = (ops.max(each, axis=(1, 2)) for each in (before, after))
        score = ops.convert_to_tensor(outputs["anomaly_score"])
        # Shares of what is above 0; where something is below, differences.
        is_above = ops.logical_and(after > 0, score > 0)
        share = after / ops.where(before > 0, before, 1.0)
        lower = ops.where(is_above, score * share, score + (after - before))
        score = ops.where(after < before, lower, score)
        return {**outputs, "anomaly_map": shown, "anomaly_score": score}

    def _shown(self, maps):
        lowest = ops.min(maps, axis=(1, 2), keepdims=True)
        return ops.where(ops.convert_to_tensor(self.inside), maps, lowest)


def _of_box(given, size):
    left, top, width, height = map(float, given)
    fits = 0 <= left < left + width <= 1 and 0 <= top < top + height <= 1
    if not fits:
        raise ValueError(
            "A region of interest may be a box (left, top, width, height) in shares "
            "of the image's sides, from 0 to 1, as (0.1, 0.1, 0.8, 0.8). Received: "
            f"{given!r}."
        )
    rows, columns = ((np.arange(side) + 0.5) / side for side in size)
    inside_rows = (rows >= top) & (rows < top + height)
    inside_columns = (columns >= left) & (columns < left + width)
    return inside_rows[:, None] & inside_columns


def _of_text(text):
    found = _TEXT.fullmatch(text)
    try:
        if not found:
            raise ValueError
        height, width = int(found[1]), int(found[2])
        if height * width > _MOST_PIXELS:
            raise ValueError
        count = -(-height * width // 8)
        # Never more than that, whatever the text says.
        packed = zlib.decompressobj().decompress(
            base64.b64decode(found[3], validate=True), count
        )
        if len(packed) != count:
            raise ValueError
    except (ValueError, zlib.error, binascii.Error):
        raise ValueError(
            f"The region of interest {text[:40]!r} is damaged. Give a mask or a box."
        ) from None
    bits = np.unpackbits(np.frombuffer(packed, "uint8"), count=height * width)
    return bits.reshape(height, width)
