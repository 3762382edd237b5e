import warnings
import weakref

import numpy as np

# Cubic resizing of float images overshoots the range by up to a fifth, where black and
# white meet at a corner.
_OVERSHOOT = 1 / 4
_TOLERANCE = 255 * _OVERSHOOT
# So many images make a rule; one black or dark one makes none.
_SEVERAL = 3
_MANY = 256
_FEW_VALUES = 8
# A sixteenth of the range: what 12 bits are of 16, and 4 of 8.
_DARK = {"uint16": 4095, "uint8": 15}


class ValueRanges:
    """Whether the pixels of the images of one pass are what their type says.

    Refused at once, image by image: values outside of 0-255 in anything but uint16,
    with a tolerance of a quarter of the range for float images (-63.75 to 318.75),
    because smooth resizing overshoots; float images that are normalised, or scaled to
    0-1; uint16 values of more bits than `bit_depth`. Refused are three images of
    uint16, if neither one before nor one of their batch exceeds 255: 8-bit images in
    16 bits. Warned of once a pass: uint16 images none of which exceeds 4095 (12 bits),
    8-bit images none of which exceeds 15, and images of the values 0 and 1 alone, or
    of a few between, as masks are. Images of a single whole value, black ones say, are
    never spoken of.

    Args:
        bit_depth: Bits that a value of uint16 images has, or None where it is not
            known: then 16.
    """

    def __init__(self, bit_depth=None):
        self.bit_depth = bit_depth
        self._count = dict.fromkeys(_DARK, 0)
        self._highest = dict.fromkeys(_DARK, 0)
        self._of_two_values = 0
        self._done = set()
        self._last = _nothing

    def to_dict(self):
        """Returns all that was seen, as JSON holds it, for another process."""
        return {
            "bit_depth": self.bit_depth,
            "count": {kind: int(value) for kind, value in self._count.items()},
            "highest": {kind: int(value) for kind, value in self._highest.items()},
            "of_two_values": int(self._of_two_values),
            "done": sorted(self._done),
        }

    @classmethod
    def from_dict(cls, seen):
        """Returns the ranges of what `to_dict` of others returned."""
        ranges = cls(seen["bit_depth"])
        ranges._count, ranges._highest = seen["count"], seen["highest"]
        ranges._of_two_values = seen["of_two_values"]
        ranges._done = set(seen["done"])
        return ranges

    def check(self, images, names):
        """Looks at the images of a batch.

        Args:
            images: List of arrays (height, width) or (height, width, channels), as
                the user gave them.
            names: Words for each: "image 7".

        Raises:
            ValueError: If the values of an image are not what they should be.
        """
        for image, name in zip(images, names, strict=True):
            if self._is_last(image) or not _has_pixels(image):
                continue
            self._last = weakref.ref(image)
            if image.dtype == np.uint16:
                self._check_uint16(image, name)
            elif image.dtype == np.uint8:
                self._note("uint8", image)
            elif image.dtype.kind in "iu":
                self._check_integers(image, name)
            elif is_float(image):
                self._check_floats(image, name)
        self._look_at_all()

    def take_in(self, others):
        """Counts in what others saw of the images of a batch.

        Args:
            others: `ValueRanges` of a part each, in the order of the images.

        Raises:
            ValueError: If the values of all images are not what they should be.
        """
        for other in others:
            if self._is_last(other._last()):
                continue
            self._last = other._last
            if other._count["uint16"] and not self._are_dark():
                continue
            for kind in _DARK:
                self._count[kind] += other._count[kind]
                self._highest[kind] = max(self._highest[kind], other._highest[kind])
            self._of_two_values += other._of_two_values
        self._look_at_all()

    def finish(self):
        """Says at the end of a pass what is to be said of all its images."""
        for kind in _DARK:
            self._warn_of_dark(kind)
        if self._of_two_values and "two" not in self._done:
            self._done.add("two")
            warnings.warn(
                f"{_images(self._of_two_values)} no other values than 0 and 1, or a "
                "few between: masks, or images scaled to 0-1? They were taken for "
                "nearly black images. Images are in 0-255.",
                stacklevel=2,
            )

    def _is_last(self, image):
        """Whether an image was the last one too: a batch may be padded with it."""
        return image is not None and self._last() is image

    def _check_uint16(self, image, name):
        if self.bit_depth is not None:
            check_bit_depth(image, self.bit_depth, name)
        elif self._are_dark():
            self._note("uint16", image)

    def _are_dark(self):
        """Whether all uint16 images were dark, so that others have to be looked at."""
        return self._highest["uint16"] <= _DARK["uint16"]

    def _note(self, kind, image):
        """Notes the highest value, as far as that takes to know what is needed."""
        some = int(_colours(image)[::16, ::16].max())
        settled = max(some, self._highest[kind]) > _DARK[kind]
        if settled and some > 1:
            self._highest[kind] = max(some, self._highest[kind])
            return
        lowest, highest = _extent(image)
        if lowest == highest <= _DARK[kind]:
            return
        self._count[kind] += 1
        self._highest[kind] = max(self._highest[kind], highest)
        self._of_two_values += highest == 1

    def _check_integers(self, image, name):
        inside = image.min() >= 0 and image.max() <= 255
        if inside and _colours(image)[::16, ::16].max() > 1:
            return
        lowest, highest = _extent(image)
        if lowest < 0 or highest > 255:
            raise ValueError(
                f"Received {name} of {image.dtype} with the value "
                f"{lowest if lowest < 0 else highest}, outside of 0-255. Give images "
                "of 16 bits, or of 9 to 15 with `bit_depth`, as uint16 "
                "(images.astype('uint16')), and others in 0-255."
            )
        self._of_two_values += lowest == 0 and highest == 1

    def _check_floats(self, image, name):
        lowest, highest = float(image.min()), float(image.max())
        inside = lowest >= 0 and highest <= 255 + _TOLERANCE
        if inside and float(_colours(image)[::16, ::16].max()) > 1 + _OVERSHOOT:
            return
        lowest, highest = map(float, _extent(image))
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            return  # refused where it is converted, in words of its own
        if lowest < 0 and highest <= _TOLERANCE and _is_normalised(image, highest):
            raise ValueError(
                f"Received {name} of {image.dtype} with values from {lowest:.3g} to "
                f"{highest:.3g}: it seems to be normalised (mean near 0, standard "
                "deviation near 1, or scaled to -1 to 1). The model normalises by "
                "itself: give it the images before, uint8 or float in 0-255."
            )
        if lowest < -_TOLERANCE or highest > 255 + _TOLERANCE:
            worst = lowest if lowest < -_TOLERANCE else highest
            raise ValueError(
                f"Received {name} of {image.dtype} with the value {worst:.6g}, outside "
                "of 0-255. Scale it, or give images of 16 bits, or of 9 to 15 with "
                "`bit_depth`, as uint16 (images.astype('uint16'))."
            )
        one_whole_value = lowest == highest == np.floor(lowest)
        if highest <= 1 + _OVERSHOOT and not one_whole_value:
            self._check_unit_range(image, name, highest)

    def _check_unit_range(self, image, name, highest):
        values = np.unique(_colours(image).astype("float32"))
        is_few = 1 < len(values) <= _FEW_VALUES
        if is_few and values[0] == 0 and values[-1] == 1:
            self._of_two_values += 1
        elif not is_few and np.any(values != np.floor(values)):
            raise ValueError(
                f"Received {name} of {image.dtype} with a maximum of {highest:.3g}: it "
                "seems to be scaled to 0-1. The model normalises by itself: give it "
                "uint8 images, or float images in 0-255 (images * 255)."
            )

    def _look_at_all(self):
        self._refuse_8_bits()
        for kind, count in self._count.items():
            if count >= _MANY:
                self._warn_of_dark(kind, "first ")

    def _refuse_8_bits(self):
        count, highest = self._count["uint16"], self._highest["uint16"]
        if count >= _SEVERAL and highest <= 255:
            raise ValueError(
                f"No value of {count} uint16 images exceeds {highest}: 8-bit images in "
                "16 bits, which would be taken for black ones. Give them as uint8 "
                "(images.astype('uint8')); files, saved with 8 bits. If they are as "
                "dark as that, say so with bit_depth=16 (--bit-depth 16)."
            )

    def _warn_of_dark(self, kind, which=""):
        count, highest = self._count[kind], self._highest[kind]
        if kind in self._done or not count or highest > _DARK[kind]:
            return
        if kind == "uint8" and (count < _SEVERAL or highest <= 1):
            return
        self._done.add(kind)
        found = f"No value of the {which}{count} {kind} images exceeds {highest}"
        if kind == "uint8":
            says = (
                "they are taken for nearly black ones. Files of 16-bit colour are read "
                "by their upper 8 bits: scale those of 10 or 12 bits to 8 before."
            )
        elif highest <= 255:
            says = (
                "8-bit images in 16 bits? They are taken for black ones. Give them as "
                "uint8; bit_depth=16 (--bit-depth 16) says that they are dark."
            )
        else:
            bits = 10 if highest <= 1023 else 12
            says = (
                f"images of {bits} bits? They are taken for dark ones of 16. If so, "
                f"say it with bit_depth={bits} (--bit-depth {bits}); bit_depth=16 says "
                "that they are dark."
            )
        warnings.warn(f"{found}: {says}", stacklevel=3)


def check_bit_depth(image, bit_depth, name):
    """Refuses a uint16 image with values of more bits than it is said to have.

    Args:
        image: Array of any dtype; of others nothing is said.
        bit_depth: Number of bits, or None.
        name: Words for the image.

    Raises:
        ValueError: If a value has more bits.
    """
    if bit_depth is None or image.dtype != np.uint16 or not _has_pixels(image):
        return
    highest = int(image.max())
    if highest >= 2**bit_depth:
        # Of all channels it may be the alpha, which is dropped.
        highest = _extent(image)[1]
    if highest >= 2**bit_depth:
        raise ValueError(
            f"Received {name} with the value {highest}, and {bit_depth} bits end at "
            f"{2**bit_depth - 1}. Give its true `bit_depth` (--bit-depth), at least "
            f"{int(highest).bit_length()}."
        )


def _nothing():
    """Stands for a weak reference before there is an image."""


def _images(count):
    return "1 image has" if count == 1 else f"{count} images have"


def _has_pixels(image):
    return image.ndim in (2, 3) and image.size > 0


def _colours(image):
    """The image without its alpha."""
    if image.ndim == 3 and image.shape[-1] in (2, 4):
        return image[..., :-1]
    return image


def _extent(image):
    """Lowest and highest value, alpha apart."""
    colours = _colours(image)
    lowest, highest = colours.min(), colours.max()
    if image.dtype.kind in "iu":
        return int(lowest), int(highest)
    return lowest, highest


def _is_normalised(image, highest):
    """Whether values below 0 are more than the overshoot of a resize."""
    colours = _colours(image).astype("float32")
    if colours.min() < -_OVERSHOOT * max(highest, 0.0):
        return True
    return bool(colours.mean() < colours.std() / 20)


def is_float(array):
    """Whether an array is of a float type; NumPy itself knows no bfloat16."""
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"
