"""The orientation in EXIF data of image files, read inside a TensorFlow graph."""

import tensorflow as tf

_TAG = 0x0112
_MOST_ENTRIES = 1024
# Cameras write a dozen; a file made of nothing else must not keep a server busy.
_MOST_PARTS = 4096


def exif_orientation(encoded):
    """How the pixels of JPEG and PNG files have to be turned.

    Args:
        encoded: String tensor (batch,), one file each.

    Returns:
        int32 tensor (batch,), 1 to 8 as EXIF defines them; 1, which is upright, where
        there is none or what there is makes no sense.
    """
    files = _Files(encoded)
    start = _find_tiff(files, encoded)
    upright = tf.ones_like(start, tf.int32)
    return tf.cond(
        tf.reduce_any(start > 0),
        lambda: tf.where(start > 0, _in_tiff(files, start), upright),
        lambda: upright,
    )


class _Files:
    """Numbers at a position of each file of a batch; beyond the end, zeros."""

    def __init__(self, encoded):
        self.encoded = encoded
        self.sizes = tf.strings.length(encoded)

    def bytes(self, position, count):
        """`count` bytes from a position on, int64 (batch, count)."""
        # No file is larger than 2 GiB.
        inside = tf.cast(tf.clip_by_value(position, 0, 2**31 - 1), tf.int32)
        inside = tf.minimum(inside, self.sizes)
        part = tf.strings.substr(self.encoded, inside, tf.fill(tf.shape(inside), count))
        part = tf.io.decode_raw(part, tf.uint8, fixed_length=count)
        return tf.cast(part, tf.int64)

    def number(self, position, count, little=None):
        """The number in `count` bytes, (batch,)."""
        return as_number(self.bytes(position, count), little)


def as_number(values, little=None):
    """The numbers that bytes on the last axis make."""
    powers = [256**power for power in reversed(range(values.shape[-1]))]
    big = tf.reduce_sum(values * tf.constant(powers, tf.int64), -1)
    if little is None:
        return big
    small = tf.reduce_sum(values * tf.constant(powers[::-1], tf.int64), -1)
    return tf.where(little, small, big)


def _find_tiff(files, encoded):
    """Where the TIFF header of each file's EXIF data is, or 0."""
    is_jpeg = files.number(tf.zeros_like(files.sizes), 3) == 0xFFD8FF
    is_png = files.number(tf.zeros_like(files.sizes), 4) == 0x89504E47
    # A PNG has a part for every few kB of pixels, and hardly one has EXIF data.
    is_png &= tf.strings.regex_full_match(
        tf.where(is_png, encoded, b""), r"(?s)\C*eXIf\C*"
    )
    zeros = tf.zeros_like(files.sizes, tf.int64)

    def goes_on(position, found, searched):
        return tf.reduce_any(searched)

    def go_on(position, found, searched):
        # Of a PNG: length and name of a chunk. Of a JPEG: marker and length of a
        # segment, and the beginning of what it holds.
        part = files.bytes(position, 10)
        marker = as_number(part[:, :2])
        is_exif = tf.where(
            is_png,
            as_number(part[:, 4:8]) == int.from_bytes(b"eXIf", "big"),
            (marker == 0xFFE1)
            & (as_number(part[:, 4:]) == int.from_bytes(b"Exif\0\0", "big")),
        )
        # Segments end where the scan or the file does.
        is_segment = (marker >= 0xFF01) & (marker != 0xFFDA) & (marker != 0xFFD9)
        searched &= is_png | is_segment
        start = position + tf.where(is_png, zeros + 8, 10)
        found = tf.where(searched & is_exif, start, found)
        # A marker may have any number of these bytes before it.
        length = tf.maximum(as_number(part[:, 2:4]), 2)
        length = tf.where(marker == 0xFFFF, zeros + 1, 2 + length)
        position += tf.where(is_png, 12 + as_number(part[:, :4]), length)
        searched &= ~is_exif & (position < tf.cast(files.sizes, tf.int64))
        return position, found, searched

    begin = (tf.where(is_png, zeros + 8, 2), zeros, is_jpeg | is_png)
    return tf.while_loop(goes_on, go_on, begin, maximum_iterations=_MOST_PARTS)[1]


def _in_tiff(files, start):
    """The orientation that the EXIF data at a position tells."""
    little = files.number(start, 2) == int.from_bytes(b"II", "big")
    directory = start + files.number(start + 4, 4, little)
    count = tf.minimum(files.number(directory, 2, little), _MOST_ENTRIES)
    entries = tf.reshape(
        files.bytes(directory + 2, 12 * _MOST_ENTRIES), (-1, _MOST_ENTRIES, 12)
    )
    little = little[:, None]
    is_orientation = as_number(entries[..., :2], little) == _TAG
    is_orientation &= tf.range(_MOST_ENTRIES, dtype=tf.int64) < count[:, None]
    first = tf.argmax(tf.cast(is_orientation, tf.int32), -1)
    values = as_number(entries[..., 8:10], little)
    value = tf.gather(values, first, batch_dims=1)
    known = tf.reduce_any(is_orientation, -1) & (value >= 1) & (value <= 8)
    return tf.cast(tf.where(known, value, tf.ones_like(value)), tf.int32)
