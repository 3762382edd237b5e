"""Pixels that a graph decodes, against Pillow and the package's own resize."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_rlr.export.decode_images import OK, REFUSED, UNDECODABLE, decode_images
from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.inputs.pillow_images import image_to_array
from tests.tiny_model import random_images

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]

# Not a square, so that what lies on its side is told from what stands.
SIZE = (24, 40)
PICTURE = Image.fromarray(random_images(1, 50, 37)[0])
DEEP = np.arange(50 * 37, dtype="uint16").reshape(50, 37) * 35


@pytest.fixture(scope="module")
def decode():
    specification = tf.TensorSpec((None,), tf.string)
    function = tf.function(
        lambda encoded: decode_images(encoded, SIZE), input_signature=[specification]
    )

    def run(files):
        images, status = function(tf.constant(files, tf.string, (len(files),)))
        return images.numpy(), status.numpy().tolist()

    return run


def encode(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def expected(encoded):
    with Image.open(io.BytesIO(encoded)) as image:
        array = image_to_array(ImageOps.exif_transpose(image))
    return to_resized_rgb(array, SIZE, "the image")


def with_orientation(value, format, little=True):
    exif = Image.Exif()
    exif[0x0112] = value
    exif[0x010F] = "a camera"  # an entry before the one that counts
    if not little:
        exif.endian = ">"
    return encode(PICTURE, format, exif=exif.tobytes())


def deep_color():
    """A PNG of 16 bits a channel, which Pillow reads but does not write."""
    pixels = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], -1)
    return tf.io.encode_png(pixels).numpy()


def with_fourth_bytes():
    file = bytearray(encode(PICTURE.convert("L"), "BMP"))
    file[57 : 54 + 1024 : 4] = b"\xff" * 256
    return bytes(file)


FILES = {
    "JPEG": encode(PICTURE, "JPEG"),
    "JPEG, best": encode(PICTURE, "JPEG", quality=100, subsampling=0),
    "JPEG, progressive": encode(PICTURE, "JPEG", progressive=True),
    "JPEG, grey": encode(PICTURE.convert("L"), "JPEG"),
    "JPEG, CMYK": encode(PICTURE.convert("CMYK"), "JPEG"),
    "JPEG, 1x1": encode(PICTURE.crop((0, 0, 1, 1)), "JPEG"),
    "PNG": encode(PICTURE, "PNG"),
    "PNG, grey": encode(PICTURE.convert("L"), "PNG"),
    "PNG, 1 bit": encode(PICTURE.convert("1"), "PNG"),
    "PNG, palette": encode(PICTURE.convert("P"), "PNG"),
    "PNG, alpha": encode(PICTURE.convert("RGBA"), "PNG"),
    "PNG, grey and alpha": encode(PICTURE.convert("LA"), "PNG"),
    "PNG, 16-bit grey": encode(Image.fromarray(DEEP), "PNG"),
    "PNG, 16-bit color": deep_color(),
    "PNG, 1x1": encode(PICTURE.crop((0, 0, 1, 1)), "PNG"),
    "BMP": encode(PICTURE, "BMP"),
    "BMP, 32 bits": encode(PICTURE.convert("RGBA"), "BMP"),
    "BMP, grey": encode(PICTURE.convert("L"), "BMP"),
    **{
        f"{format}, orientation {value}": with_orientation(value, format)
        for format in ("JPEG", "PNG")
        for value in (1, 2, 3, 4, 5, 6, 7, 8, 9)
    },
    "BMP, grey with other fourth bytes": with_fourth_bytes(),
    "JPEG, filled": b"\xff\xd8\xff" + with_orientation(6, "JPEG")[2:],
    "JPEG, big-endian orientation": with_orientation(6, "JPEG", little=False),
}


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_python(name, decode):
    images, status = decode([FILES[name]])
    assert status == [OK]
    np.testing.assert_allclose(images[0], expected(FILES[name]), atol=2e-3)


def huge_png(width, height):
    """A PNG whose header claims a size that its data has not."""
    file = bytearray(FILES["PNG"])
    file[16:24] = struct.pack(">II", width, height)
    return bytes(file)


BAD = {
    "empty": (b"", UNDECODABLE),
    "one byte": (b"\xff", UNDECODABLE),
    "text": (b"this is no image, whatever its name says", UNDECODABLE),
    "JPEG cut short": (FILES["JPEG"][:-300], UNDECODABLE),
    "PNG cut short": (FILES["PNG"][:-300], UNDECODABLE),
    "BMP cut short": (FILES["BMP"][:-300], UNDECODABLE),
    "GIF": (encode(PICTURE, "GIF"), UNDECODABLE),
    "BMP, palette": (encode(PICTURE.convert("P"), "BMP"), UNDECODABLE),
    "header alone": (FILES["JPEG"][:20], UNDECODABLE),
    "no pixels": (huge_png(0, 10), UNDECODABLE),
    "8000x6000": (huge_png(8000, 6000), REFUSED),
    "one long line": (huge_png(70_000, 10), REFUSED),
    "BMP of OS/2": (FILES["BMP"][:14] + b"\x0c" + FILES["BMP"][15:], UNDECODABLE),
    "negative": (huge_png(2**31 + 5, 10), UNDECODABLE),
}


def test_a_bad_image_does_not_fail_its_batch(decode):
    good = FILES["JPEG"]
    files = [good, *(file for file, _ in BAD.values()), good]
    images, status = decode(files)
    assert dict(zip(BAD, status[1:-1], strict=True)) == {
        name: code for name, (_, code) in BAD.items()
    }
    assert (status[0], status[-1]) == (OK, OK)
    assert not images[1:-1].any()
    np.testing.assert_allclose(images[-1], expected(good), atol=2e-3)


def test_all_kinds_in_one_batch(decode):
    """Each has its own pixels and its own orientation, whichever is decoded first."""
    images, status = decode(list(FILES.values()))
    assert status == [OK] * len(FILES)
    for name, image in zip(FILES, images, strict=True):
        np.testing.assert_allclose(
            image, expected(FILES[name]), atol=2e-3, err_msg=name
        )


def test_orientation_after_the_pixels_of_a_png(decode):
    file = with_orientation(6, "PNG")
    start = file.index(b"eXIf") - 4
    size = 12 + int.from_bytes(file[start : start + 4], "big")
    moved = file[:start] + file[start + size : -12]
    moved += file[start : start + size] + file[-12:]
    images, status = decode([moved])
    assert status == [OK]
    np.testing.assert_allclose(images[0], expected(moved), atol=2e-3)


def test_a_batch_of_none(decode):
    images, status = decode([])
    assert (images.shape, status) == ((0, *SIZE, 3), [])


@pytest.mark.parametrize("position", range(2, 60, 3))
def test_damaged_exif_data_is_no_orientation_or_another(position, decode):
    """Whatever a byte of it is, the image comes."""
    file = bytearray(with_orientation(6, "JPEG"))
    start = file.index(b"Exif\0\0")
    file[start + 6 + position % 40] ^= 0xFF
    images, status = decode([bytes(file)])
    assert status == [OK] and np.isfinite(images).all()


def test_a_file_of_nothing_but_segments_does_not_keep_it_busy(decode):
    file = FILES["JPEG"]
    many = file[:2] + b"\xff\xfe\x00\x02" * 100_000 + file[2:]
    images, status = decode([many])
    assert status == [OK]
    np.testing.assert_allclose(images[0], expected(file), atol=2e-3)


def test_a_bit_depth_scales_16_bit_grey_alone():
    twelve = DEEP % 4096
    files = [
        encode(Image.fromarray(twelve), "PNG"),
        encode(PICTURE, "PNG"),
        encode(Image.fromarray(DEEP), "PNG"),
    ]
    images, status = decode_images(tf.constant(files), SIZE, bit_depth=12)
    assert status.numpy().tolist() == [OK, OK, REFUSED]
    scaled = to_resized_rgb(twelve[..., None], SIZE, "it", 12)
    np.testing.assert_allclose(images[0], scaled, atol=1e-3)
    np.testing.assert_allclose(images[1], expected(files[1]), atol=1e-3)
    assert not np.any(images[2])
