"""Encoded images to pixels inside a TensorFlow graph, none of which fails its batch."""

import tensorflow as tf

from keras_rlr.export.exif_orientation import exif_orientation

# The last is said of the score of an image that was decoded.
OK, UNDECODABLE, REFUSED, NOT_FINITE, UNKNOWN_CATEGORY = range(5)
# 100 MB of pixels: larger ones would let one request take a server's memory.
MOST_PIXELS = 2**25
LONGEST_SIDE = 2**16
# Each takes the memory of its pixels.
_DECODED_AT_A_TIME = 4

_JPEG, _PNG, _DEEP_GREY_PNG, _BMP, _OTHER = range(5)


def decode_images(encoded, size, bit_depth=None):
    """Decodes JPEG, PNG and BMP files to images of one size.

    Pixels are those of `keras_rlr.datasets.read_image`, turned upright by the EXIF
    orientation and resized as the model does.

    Args:
        encoded: String tensor (batch,), one file each.
        size: Height and width of the result.
        bit_depth: Bits that a value of 16-bit grey images has; None is 16.

    Returns:
        float32 tensor (batch, height, width, 3), RGB in 0-255; int32 tensor (batch,):
        0 decoded, 1 undecodable, 2 refused for more than 2^25 pixels, a side of more
        than 2^16 or a value of more bits than `bit_depth`. What was not decoded is
        black.
    """
    kinds, shapes = _read_headers(encoded)
    refused = _are_too_large(shapes)
    # A JPEG file states its size anywhere in it: its decoder finds it.
    has_pixels = (kinds == _JPEG) | tf.reduce_all(shapes > 0, -1)
    status = tf.where(refused & has_pixels, REFUSED, UNDECODABLE)
    tried = tf.where((kinds != _OTHER) & has_pixels & ~refused)[:, 0]
    count = tf.size(encoded)

    def decode():
        orientation = exif_orientation(encoded)
        given, kind, turned = (
            tf.gather(x, tried) for x in (encoded, kinds, orientation >= 5)
        )
        positions, images, found = _decode_all(
            given, kind, turned, tried, size, bit_depth
        )
        images = tf.scatter_nd(positions, images, (count, *size, 3))
        found = tf.tensor_scatter_nd_update(status, positions, found)
        return _turn(images, orientation), found

    return tf.cond(
        tf.size(tried) > 0, decode, lambda: (tf.zeros((count, *size, 3)), status)
    )


def resize_in_graph(images, size):
    """Resizes a batch as `keras_rlr.inputs.resize_images` does, to 1e-4 of the range.

    Args:
        images: Tensor (batch, height, width, channels) of a number of any type.
        size: Height and width of the result.

    Returns:
        float32 tensor (batch, height, width, channels).
    """
    # This reads each pixel twice, where a product with all weights multiplies it by
    # `size` numbers most of which are 0.
    return tf.image.resize(images, size, antialias=True)


def _read_headers(encoded):
    """What each file of a batch is, and the height and width that it states."""
    beginning = tf.strings.substr(encoded, 0, 36)
    header = tf.io.decode_raw(beginning, tf.uint8, fixed_length=36)
    header = tf.cast(header, tf.int64)

    def begin_with(magic):
        same = header[:, : len(magic)] == tf.constant([*magic], tf.int64)
        return tf.reduce_all(same, -1)

    def number(start, count, little):
        powers = range(count) if little else reversed(range(count))
        weights = tf.constant([256**power for power in powers], tf.int64)
        value = tf.reduce_sum(header[:, start : start + count] * weights, -1)
        # Of four bytes a signed one.
        return tf.where(value >= 2**31, value - 2**32, value)

    deep_grey = (header[:, 24] == 16) & (header[:, 25] == 0)
    # Those of OS/2 have a shorter header.
    is_bmp = begin_with(b"BM") & (number(14, 4, little=True) >= 40)
    kinds = tf.where(is_bmp, _BMP, _OTHER)
    is_png = begin_with(b"\x89PNG\r\n\x1a\n")
    kinds = tf.where(is_png, tf.where(deep_grey, _DEEP_GREY_PNG, _PNG), kinds)
    kinds = tf.where(begin_with(b"\xff\xd8\xff"), _JPEG, kinds)
    of_png = [number(20, 4, little=False), number(16, 4, little=False)]
    # Those of BMP are negative if its lines go upwards.
    of_bmp = [tf.abs(number(22, 4, little=True)), tf.abs(number(18, 4, little=True))]
    shapes = tf.where(is_png[:, None], tf.stack(of_png, -1), 0)
    return kinds, tf.where(is_bmp[:, None], tf.stack(of_bmp, -1), shapes)


def _are_too_large(shapes):
    too_many = tf.reduce_prod(shapes, -1) > MOST_PIXELS
    return too_many | (tf.reduce_max(shapes, -1) > LONGEST_SIDE)


def _decode_all(files, kinds, sideways, positions, size, bit_depth):
    """Positions, images and status of the files that can be decoded.

    Those that lie on a side are transposed, so that their size is the others'.
    """
    black = tf.zeros((*size, 3))

    def resize(image, lies):
        # Not more than once in the memory: it is resized from the bytes it has.
        return tf.cond(
            lies,
            lambda: tf.transpose(resize_in_graph(image, size[::-1]), (1, 0, 2)),
            lambda: resize_in_graph(image, size),
        )

    def jpeg(file, lies):
        def decode():
            # The other method of TensorFlow is up to 11 grey levels off.
            method = "INTEGER_ACCURATE"
            image = tf.io.decode_jpeg(file, 3, dct_method=method)
            return resize(image, lies), OK

        shape = tf.cast(tf.io.extract_jpeg_shape(file)[:2], tf.int64)
        return tf.cond(_are_too_large(shape), lambda: (black, REFUSED), decode)

    def png(file, lies):
        # Of 16 bits a channel, this takes the upper eight, as Pillow does.
        return resize(tf.io.decode_png(file, 3), lies), OK

    def deep_grey_png(file, lies):
        # Pillow keeps all bits of these.
        image = tf.io.decode_png(file, 1, tf.uint16)
        grey = tf.repeat(resize(image, lies), 3, -1)
        if bit_depth is None:
            return grey / 257.0, OK
        brightest = 2**bit_depth - 1
        too_bright = tf.reduce_max(tf.cast(image, tf.int32)) > brightest
        grey = tf.where(too_bright, 0.0, grey * (255.0 / brightest))
        return grey, tf.where(too_bright, REFUSED, OK)

    def bmp(file, lies):
        return resize(_bmp(file), lies), OK

    def decode(position, file, kind, lies):
        readers = (jpeg, png, deep_grey_png, bmp)
        branches = [lambda read=read: read(file, lies) for read in readers]
        image, status = tf.switch_case(kind, branches)
        return position, tf.ensure_shape(image, black.shape), status

    # A data set can leave out what fails; nothing else in a graph can. One for all
    # files: making it takes as long as decoding an image.
    data = tf.data.Dataset.from_tensor_slices((positions, files, kinds, sideways))
    data = data.map(decode, _DECODED_AT_A_TIME, deterministic=False)
    data = data.ignore_errors(log_warning=False)
    # It must not be empty for what follows.
    last = tf.data.Dataset.from_tensors((tf.constant(0, tf.int64), black, OK))
    data = data.concatenate(last).batch(tf.size(files, tf.int64) + 1)
    # Nothing that could be tuned lives so long, and looking for it takes time.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    found = data.with_options(options).get_single_element()
    positions, images, status = (part[:-1] for part in found)
    return positions[:, None], images, status


def _turn(images, orientation):
    """Mirrors each image, transposed before or not, as its orientation says."""

    def turn():
        def reversed_for(orientations, axis, given):
            applies = orientation[:, None] == tf.constant(orientations)
            applies = tf.reduce_any(applies, -1)[:, None, None, None]
            return tf.where(applies, tf.reverse(given, [axis]), given)

        turned = reversed_for((2, 3, 6, 7), 2, images)
        return reversed_for((3, 4, 7, 8), 1, turned)

    return tf.cond(tf.reduce_any(orientation > 1), turn, lambda: images)


def _bmp(file):
    def number(position, kind):
        part = tf.strings.substr(file, position, kind.size)
        return tf.io.decode_raw(part, kind)[0]

    header, bits = number(14, tf.int32), number(28, tf.int16)
    compression = number(30, tf.int32)
    # Zeros at the end, so that there are always as many.
    padded = tf.strings.join([file, b"\0" * 2048])
    masks = tf.strings.substr(padded, 54, 12)
    usual = tf.equal(masks, b"\0\0\xff\0\0\xff\0\0\xff\0\0\0")
    # Of 8 bits they are grey if their palette is; TensorFlow does not look at it.
    start = tf.clip_by_value(14 + header, 0, 256)
    palette = tf.io.decode_raw(tf.strings.substr(padded, start, 1024), tf.uint8)
    palette = tf.cast(tf.reshape(palette, (256, 4))[:, :3], tf.int32)
    is_grey = tf.reduce_all(palette == tf.range(256)[:, None])
    plain = (compression == 0) & ((bits == 24) | (bits == 32) | ((bits == 8) & is_grey))
    known = plain | ((compression == 3) & (bits == 32) & usual)
    with tf.control_dependencies([tf.debugging.Assert(known, ["kind"])]):
        image = tf.io.decode_bmp(file)
    return tf.cond(
        bits == 8, lambda: tf.repeat(image[..., :1], 3, -1), lambda: image[..., :3]
    )
