"""Encoded images to pixels inside a TensorFlow graph, none of which fails its batch."""

import tensorflow as tf

from keras_rlr.detectors.preprocessor import resize_weights_in_graph
from keras_rlr.export.exif_orientation import exif_orientation

# The last is said of the score of an image that was decoded.
OK, UNDECODABLE, REFUSED, NOT_FINITE = 0, 1, 2, 3
# 400 MB as float32: larger ones would let one request take a server's memory.
MOST_PIXELS = 2**25
# A line of more makes the weights of the resize as large.
LONGEST_SIDE = 2**16


def decode_images(encoded, size, bit_depth=None):
    """Decodes JPEG, PNG and BMP files to squares.

    Pixels are those of `keras_rlr.datasets.read_image`, turned upright by the EXIF
    orientation and resized as the model does.

    Args:
        encoded: String tensor (batch,), one file each.
        size: Side of the squares.
        bit_depth: Bits that a value of 16-bit grey images has; None is 16.

    Returns:
        float32 tensor (batch, size, size, 3), RGB in 0-255, and int32 tensor (batch,):
        0 decoded, 1 undecodable, 2 refused for more than 2^25 pixels, a side of more
        than 2^16 or a value of more bits than `bit_depth`. What was not decoded is
        black.
    """

    def decode(file):
        # A data set can leave out what fails; nothing else in a graph can.
        shape = _attempt(file, _declared_shape, tf.zeros((2,), tf.int64))
        pixels = tf.reduce_prod(shape)
        refused = (pixels > MOST_PIXELS) | (tf.reduce_max(shape) > LONGEST_SIDE)
        image, decoded, too_bright = _attempt(
            file,
            lambda file: _decoded(file, size, bit_depth),
            (tf.zeros((size, size, 3)), False, False),
            when=(pixels > 0) & ~refused,
        )
        refused |= too_bright
        status = tf.where(decoded, OK, tf.where(refused, REFUSED, UNDECODABLE))
        return image, status

    return tf.map_fn(
        decode,
        encoded,
        fn_output_signature=(
            tf.TensorSpec((size, size, 3), tf.float32),
            tf.TensorSpec((), tf.int32),
        ),
        # Ten at a time would take ten times the memory.
        parallel_iterations=1,
    )


def _decoded(file, size, bit_depth):
    """The square, whether it is one, and whether it was refused for its values."""
    image = _upright(file, bit_depth)
    if bit_depth is None:
        return _square(image, size), True, False
    too_bright = tf.reduce_max(image) > 255.0
    square = tf.where(too_bright, 0.0, _square(image, size))
    return square, ~too_bright, too_bright


def _attempt(file, function, otherwise, when=True):
    """`function(file)`, or `otherwise` if it fails or is not to be tried."""
    data = tf.data.Dataset.from_tensors(file).filter(lambda _: when).map(function)
    data = data.ignore_errors(log_warning=False)
    if isinstance(otherwise, tuple):
        return data.reduce(otherwise, lambda _, *found: found)
    return data.reduce(otherwise, lambda _, found: found)


def _is(file, magic):
    return tf.equal(tf.strings.substr(file, 0, len(magic)), magic)


def _by_format(file, jpeg, png, bmp):
    return tf.case(
        [
            (_is(file, b"\xff\xd8\xff"), lambda: jpeg(file)),
            (_is(file, b"\x89PNG\r\n\x1a\n"), lambda: png(file)),
        ],
        # Whatever else it is fails there, or has no size.
        default=lambda: bmp(file),
    )


def _numbers(file, position, count, kind, **options):
    part = tf.strings.substr(file, position, count * kind.size)
    return tf.cast(tf.io.decode_raw(part, kind, **options), tf.int64)


def _declared_shape(file):
    """Height and width that the header of a file states."""

    def png(file):
        return _numbers(file, 16, 2, tf.int32, little_endian=False)[::-1]

    def bmp(file):
        shape = tf.abs(_numbers(file, 18, 2, tf.int32)[::-1])
        is_known = _is(file, b"BM") & (_numbers(file, 14, 1, tf.int32)[0] >= 40)
        return tf.where(is_known, shape, 0)

    def jpeg(file):
        return tf.cast(tf.io.extract_jpeg_shape(file)[:2], tf.int64)

    return _by_format(file, jpeg, png, bmp)


def _upright(file, bit_depth):
    """float32 pixels (height, width, 3), turned as the EXIF data says."""
    image = _by_format(file, _jpeg, lambda file: _png(file, bit_depth), _bmp)
    orientation = exif_orientation(file)
    image = tf.cond(
        orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image
    )

    def reversed_for(orientations, axis, image):
        applies = tf.reduce_any(orientation == tf.constant(orientations))
        return tf.cond(applies, lambda: tf.reverse(image, [axis]), lambda: image)

    image = reversed_for((2, 3, 6, 7), 1, image)
    return reversed_for((3, 4, 7, 8), 0, image)


def _jpeg(file):
    # The other method of TensorFlow is up to 11 grey levels off.
    image = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cast(image, tf.float32)


def _png(file, bit_depth):
    image = tf.cast(tf.io.decode_png(file, 3, tf.uint16), tf.float32)
    depth, color = tf.unstack(_numbers(file, 24, 2, tf.uint8), num=2)
    # Pillow keeps all bits of 16-bit grey and the upper eight of 16-bit colour.
    drops_bits = (depth == 16) & (color != 0)
    grey = image / 257.0
    if bit_depth is not None:
        scaled = image * 255.0 / (2.0**bit_depth - 1.0)
        grey = tf.where((depth == 16) & (color == 0), scaled, grey)
    return tf.where(drops_bits, tf.floor(image / 256.0), grey)


def _bmp(file):
    header = _numbers(file, 14, 1, tf.int32)[0]
    bits = _numbers(file, 28, 1, tf.int16)[0]
    compression = _numbers(file, 30, 1, tf.int32)[0]
    # Zeros at the end, so that there are always as many.
    padded = tf.strings.join([file, b"\0" * 2048])
    masks = tf.strings.substr(padded, 54, 12)
    usual = tf.equal(masks, b"\0\0\xff\0\0\xff\0\0\xff\0\0\0")
    # Of 8 bits they are grey if their palette is; TensorFlow does not look at it.
    start = tf.clip_by_value(14 + header, 0, 256)
    palette = tf.reshape(_numbers(padded, start, 1024, tf.uint8), (256, 4))[:, :3]
    is_grey = tf.reduce_all(palette == tf.range(256, dtype=tf.int64)[:, None])
    plain = (compression == 0) & ((bits == 24) | (bits == 32) | ((bits == 8) & is_grey))
    known = plain | ((compression == 3) & (bits == 32) & usual)
    with tf.control_dependencies([tf.debugging.Assert(known, ["kind"])]):
        image = tf.io.decode_bmp(file)
    image = tf.cond(
        bits == 8, lambda: tf.repeat(image[..., :1], 3, -1), lambda: image[..., :3]
    )
    return tf.cast(image, tf.float32)


def _square(image, size):
    """What `Preprocessor` makes of the size of an image."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    rows = resize_weights_in_graph(height, size)
    columns = resize_weights_in_graph(width, size)
    flat = tf.matmul(rows, tf.reshape(image, (height, -1)))
    image = tf.reshape(flat, (size, width, 3))
    return tf.ensure_shape(tf.matmul(columns, image), (size, size, 3))
