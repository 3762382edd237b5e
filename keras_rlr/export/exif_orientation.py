"""The orientation in an image file's EXIF data, read inside a TensorFlow graph."""

import tensorflow as tf

_TAG = 0x0112
_MOST_ENTRIES = 1024
# Cameras write a dozen; a file made of nothing else must not keep a server busy.
_MOST_PARTS = 4096


def exif_orientation(encoded):
    """How the pixels of a JPEG or PNG file have to be turned.

    Args:
        encoded: Scalar string tensor, the file.

    Returns:
        Scalar int32 tensor, 1 to 8 as EXIF defines them; 1, which is upright, where
        there is none or what there is makes no sense.
    """
    file = _File(encoded)
    is_png = tf.equal(tf.strings.substr(encoded, 0, 4), b"\x89PNG")
    start = tf.cond(is_png, lambda: _in_png(file), lambda: _in_jpeg(file))
    return tf.cond(start > 0, lambda: _in_tiff(file, start), lambda: tf.constant(1))


class _File:
    """Numbers at positions of a file; beyond its end, zeros."""

    def __init__(self, encoded):
        self.bytes = tf.io.decode_raw(encoded, tf.uint8)
        self.size = tf.size(self.bytes, tf.int64)

    def number(self, position, count, little=None):
        """The number in `count` bytes; of many positions, one each."""
        position = tf.convert_to_tensor(position, tf.int64)
        places = position[..., None] + tf.range(count, dtype=tf.int64)
        inside = (places >= 0) & (places < self.size)
        values = tf.gather(self.bytes, tf.where(inside, places, 0))
        values = tf.where(inside, tf.cast(values, tf.int64), 0)
        weights = [256**power for power in reversed(range(count))]
        big = tf.reduce_sum(values * tf.constant(weights, tf.int64), -1)
        if little is None:
            return big
        weights = tf.constant(weights[::-1], tf.int64)
        return tf.where(little, tf.reduce_sum(values * weights, -1), big)


def _in_jpeg(file):
    """Where the TIFF header of a JPEG's EXIF segment is, or 0."""

    def goes_on(position, found):
        marker = file.number(position, 2)
        # Segments end where the scan or the file does.
        is_segment = (marker >= 0xFF01) & (marker != 0xFFDA) & (marker != 0xFFD9)
        return (found == 0) & is_segment

    def go_on(position, found):
        is_exif = (file.number(position, 2) == 0xFFE1) & (
            file.number(position + 4, 6) == int.from_bytes(b"Exif\0\0", "big")
        )
        length = tf.maximum(file.number(position + 2, 2), 2)
        # A marker may have any number of these bytes before it.
        is_filling = file.number(position, 2) == 0xFFFF
        following = tf.where(is_filling, position + 1, position + 2 + length)
        return following, tf.where(is_exif, position + 10, found)

    return _search(goes_on, go_on, start=2)


def _in_png(file):
    """Where the TIFF header of a PNG's eXIf chunk is, or 0."""

    def goes_on(position, found):
        return (found == 0) & (position < file.size)

    def go_on(position, found):
        kind = file.number(position + 4, 4)
        is_exif = kind == int.from_bytes(b"eXIf", "big")
        following = position + 12 + file.number(position, 4)
        return following, tf.where(is_exif, position + 8, found)

    return _search(goes_on, go_on, start=8)


def _search(goes_on, go_on, start):
    begin = (_int64(start), _int64(0))
    return tf.while_loop(goes_on, go_on, begin, maximum_iterations=_MOST_PARTS)[1]


def _in_tiff(file, start):
    little = file.number(start, 2) == int.from_bytes(b"II", "big")
    directory = start + file.number(start + 4, 4, little)
    count = tf.minimum(file.number(directory, 2, little), _MOST_ENTRIES)
    entries = directory + 2 + 12 * tf.range(count)
    is_orientation = file.number(entries, 2, little) == _TAG
    values = tf.boolean_mask(file.number(entries + 8, 2, little), is_orientation)
    value = tf.concat([values, [1]], 0)[0]
    return tf.cast(tf.where((value >= 1) & (value <= 8), value, 1), tf.int32)


def _int64(value):
    return tf.constant(value, tf.int64)
