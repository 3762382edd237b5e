import base64
import binascii
import hashlib
import json
import re
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_rlr.category_names import known_name, known_names
from keras_rlr.inputs.masks import resize_mask, to_mask

_TEXT = re.compile(r"(\d{1,5})x(\d{1,5}):([A-Za-z0-9+/=]+)", re.ASCII)

# Of a text in a model's file: no mask of a camera is larger.
_MOST_PIXELS = 2**28


@dataclass(frozen=True, eq=False)
class _Marked:
    """What a mask or box marks, at the size of maps.

    Args:
        at_size: Boolean array (height, width).
        anything: Whether it marked anything at its own size.
        everything: Whether it marked everything there.
    """

    at_size: np.ndarray
    anything: bool
    everything: bool

    @property
    def vanishes(self):
        """Whether all that it marks is smaller than a pixel of a map."""
        return self.anything and not self.at_size.any()

    @property
    def gap_vanishes(self):
        """Whether all that it leaves out is smaller than a pixel of a map."""
        return not self.everything and self.at_size.all()


class RegionOfInterest:
    """Where on images anomalies count; elsewhere are fixtures, say, or labels.

    One mask is for all images, or there are masks by the product that an image shows.

    Args:
        masks: Dict of boolean arrays (height, width), of the size of maps, by the names
            of categories. None is the key of what is for all others, which are looked
            at whole without it.
    """

    def __init__(self, masks):
        self._masks = dict(masks)

    @classmethod
    def of(cls, given, size):
        """Returns the region that a user gave, or None.

        Args:
            given: None; a mask (height, width) of any size, above 0 where to look; a
                box (left, top, width, height) in shares of the image's sides; a dict
                of such by category, None being that of all others; or what `as_text`
                returned.
            size: (height, width) of maps.

        Raises:
            ValueError: If it is none of these, or nothing would be left.
        """
        if given is None:
            return None
        marked = _marked_by(given, size)
        if lost := [name for name, one in marked.items() if one.vanishes]:
            raise ValueError(
                f"The region of interest{_of_names(lost)} {_too_small(size)}, so "
                "nothing would be looked at. Mark a larger part."
            )
        if lost := [name for name, one in marked.items() if one.gap_vanishes]:
            warnings.warn(
                f"What the region of interest{_of_names(lost)} leaves out "
                f"{_too_small(size)}, so all is looked at. Leave out a larger part, or "
                "give the model a larger image_size or tiles.",
                stacklevel=3,
            )
        return cls({name: one.at_size for name, one in marked.items()})._not_empty()

    @classmethod
    def ignoring(cls, given, size):
        """Returns the region of all but what a user gave.

        Args:
            given: As of `of`, but for None: where not to look.
            size: (height, width) of maps.

        Raises:
            ValueError: If it can't be read, or nothing would be left, or nothing
                ignored.
        """
        marked = _marked_by(given, size)
        if lost := [name for name, one in marked.items() if one.vanishes]:
            raise ValueError(
                f"What to ignore{_of_names(lost)} {_too_small(size)}, so nothing would "
                "be ignored. Mark a larger part, or give the model a larger image_size "
                "or tiles."
            )
        empty = [name for name, one in marked.items() if not one.anything]
        if len(empty) == len(marked):
            raise ValueError(
                "The mask of what to ignore has no pixel above 0, so nothing would be "
                "ignored. Masks are above 0 where not to look."
            )
        if empty:
            # Of one category it may be meant, where the others have something.
            warnings.warn(
                f"The masks of what to ignore{_of_names(empty)} have no pixel above 0: "
                "nothing is ignored there.",
                stacklevel=3,
            )
        return cls({name: ~one.at_size for name, one in marked.items()})._not_empty()

    @property
    def names(self):
        """The categories with masks of their own, sorted."""
        return tuple(sorted(name for name in self._masks if name is not None))

    @property
    def arrays(self):
        """Boolean array, or a dict of such by category; None for all others."""
        return dict(self._masks) if self.names else self.inside

    @property
    def inside(self):
        """Boolean array of the images that have no mask of their own; None for all."""
        return self._masks.get(None)

    def own_name(self, category):
        """Returns the name in `names` that a category has there, or None.

        Args:
            category: Its name, in any form of Unicode.
        """
        return known_name(category, self.names)

    def table(self):
        """Boolean array (names + 1, height, width): the last is that of all others."""
        masks = [self._masks[name] for name in self.names]
        rest = np.ones_like(masks[0]) if self.inside is None else self.inside
        return np.stack([*masks, rest])

    def within_too(self, other):
        """Returns where both this region and another one look.

        Args:
            other: The other, of maps of the same size.

        Raises:
            ValueError: If nothing is left.
        """
        masks = {}
        for name in known_names([*self._masks, *other._masks]):
            both = [each._mask_of(name) for each in (self, other)]
            masks[name] = np.logical_and.reduce([m for m in both if m is not None])
        return RegionOfInterest(masks)._not_empty()

    def _mask_of(self, name):
        own = None if name is None else self.own_name(name)
        return self._masks.get(own)

    def without(self, name):
        """Returns the region without a category's mask, or None if it was all.

        Args:
            name: The category; it need not have one.
        """
        own = self.own_name(name)
        masks = {each: mask for each, mask in self._masks.items() if each != own}
        return RegionOfInterest(masks) if masks else None

    def as_text(self):
        """The region as text, for a configuration."""
        if not self.names:
            return _to_text(self.inside)
        # No category has an empty name.
        return json.dumps(
            {name or "": _to_text(mask) for name, mask in self._masks.items()}
        )

    def fingerprint(self):
        """Text that is the same for the same masks, in whatever order and anywhere."""
        total = hashlib.sha256()
        for name in sorted(self._masks, key=lambda name: name or ""):
            mask = self._masks[name]
            total.update(repr((name, mask.shape)).encode())
            total.update(np.packbits(mask).tobytes())
        return total.hexdigest()

    def _not_empty(self):
        for name, inside in self._masks.items():
            if not inside.any():
                raise ValueError(
                    f"The region of interest{_of_names([name])} has no pixel, so "
                    "nothing would be looked at. Masks are above 0 where to look, and "
                    "those of what to ignore are 0 there."
                )
        return self


def is_box(given):
    """Whether four values are a box that lies within an image.

    Args:
        given: Left, top, width and height in shares of the image's sides.
    """
    try:
        left, top, width, height = map(float, given)
    except (TypeError, ValueError):
        return False
    return 0 <= left < left + width <= 1 and 0 <= top < top + height <= 1


def outputs_within(outputs, inside, pixel_threshold=None):
    """Returns what a model says of images, of a region alone.

    Outside of it a map has the lowest value of the image's map, but never one that is
    anomalous. A score is brought down as much as the map's peak is; where the peak lies
    inside, it stays to the last bit.

    Args:
        outputs: Dict of tensors; without "anomaly_map" they are returned as they are.
            "score_map", which is not returned, is the map that the scores are of, if
            that is another.
        inside: Boolean tensor (height, width), or (batch, height, width): one an image.
        pixel_threshold: The value from which on pixels are anomalous, or None.
    """
    if "anomaly_map" not in outputs:
        return outputs
    outputs = dict(outputs)
    inside = ops.convert_to_tensor(inside)
    whole = ops.convert_to_tensor(outputs["anomaly_map"])
    shown = ops.where(inside, whole, _outside(whole, pixel_threshold))
    before, after = whole, shown
    if "score_map" in outputs:
        before = ops.convert_to_tensor(outputs.pop("score_map"))
        after = ops.where(inside, before, _outside(before))
    before, after = (ops.max(each, axis=(1, 2)) for each in (before, after))
    score = ops.convert_to_tensor(outputs["anomaly_score"])
    # Shares of what is above 0; where something is below, differences.
    is_above = ops.logical_and(after > 0, score > 0)
    share = after / ops.where(before > 0, before, 1.0)
    lower = ops.where(is_above, score * share, score + (after - before))
    score = ops.where(after < before, lower, score)
    return {**outputs, "anomaly_map": shown, "anomaly_score": score}


def _outside(maps, pixel_threshold=None):
    lowest = ops.min(maps, axis=(1, 2), keepdims=True)
    if pixel_threshold is None:
        return lowest
    # Of an image that is anomalous all over, so is the lowest.
    below = pixel_threshold - max(abs(pixel_threshold) / 2, 1e-6)
    return ops.where(lowest >= pixel_threshold, below, lowest)


def _of_names(names):
    shown = sorted("all others" if name is None else name for name in names)
    return "" if names == [None] else f" of {', '.join(shown)}"


def _too_small(size):
    height, width = size
    return f"is smaller than a pixel of the model's maps ({height}x{width})"


def _marked_by(given, size):
    """Dict of `_Marked` by category of what a user gave."""
    if isinstance(given, str) and given.startswith("{"):
        given = _by_category(given)
    if not isinstance(given, Mapping):
        return {None: _marked(given, size)}
    # An empty name stands for None in the text of a region.
    strange = [
        name for name in given if not (name is None or (name and isinstance(name, str)))
    ]
    if strange or not given:
        raise ValueError(
            "A region of interest by category is a dict of masks or boxes by the names "
            "of categories, none of them empty, and None for all others. Received "
            f"{f'the key {strange[0]!r}' if strange else 'an empty dict'}."
        )
    return {name: _marked(each, size) for name, each in given.items()}


def _marked(given, size):
    if isinstance(given, tuple | list) and len(given) == 4:
        box = _of_box(given, size)
        # Sides that differ from the image's by less than a pixel are rounding.
        return _Marked(box, True, bool(box.all()))
    mask = to_mask(_of_text(given) if isinstance(given, str) else given) > 0
    return _Marked(resize_mask(mask, *size), bool(mask.any()), bool(mask.all()))


def _by_category(text):
    try:
        masks = json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged(text) from None
    return {name or None: mask for name, mask in masks.items()}


def _to_text(inside):
    height, width = inside.shape
    packed = zlib.compress(np.packbits(inside).tobytes(), 9)
    return f"{height}x{width}:{base64.b64encode(packed).decode()}"


def _of_box(given, size):
    if not is_box(given):
        raise ValueError(
            "A region of interest may be a box (left, top, width, height) in shares "
            "of the image's sides, from 0 to 1, as (0.1, 0.1, 0.8, 0.8). Received: "
            f"{given!r}."
        )
    left, top, width, height = map(float, given)
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
        raise _damaged(text) from None
    bits = np.unpackbits(np.frombuffer(packed, "uint8"), count=height * width)
    return bits.reshape(height, width)


def _damaged(text):
    return ValueError(
        f"The region of interest {text[:40]!r} is damaged. Give a mask or a box."
    )
