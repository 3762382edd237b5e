"""Kinds of image files that are odd, damaged or made to harm: name, content, outcome.

`READ` are files that are images whatever is odd about them; `REFUSED` are not, or ask
for more memory than they are worth, or are of a depth that is not read.
"""

import gzip
import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

_RAMP = np.arange(40 * 48, dtype="uint32").reshape(40, 48)
PICTURE = Image.fromarray(
    np.stack([_RAMP % 251, _RAMP % 83, _RAMP // 8], -1).astype("uint8")
)


def encode(image, kind, **options):
    """The bytes of a PIL image's file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PNG = encode(PICTURE, "PNG")
JPEG = encode(PICTURE, "JPEG")
TIFF = encode(PICTURE, "TIFF")
BMP = encode(PICTURE, "BMP")
GIF = encode(PICTURE, "GIF")
WEBP = encode(PICTURE, "WEBP")


def chunk(name, data):
    """A chunk of a PNG."""
    length, crc = struct.pack(">I", len(data)), zlib.crc32(name + data)
    return length + name + data + struct.pack(">I", crc)


def png(width, height, depth=8, colour=2, interlaced=0, data=b"", before=b""):
    """A PNG whose header says what it likes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def palette_png(colours, index):
    """A PNG of a palette with so many colours, all of whose pixels have an index."""
    palette = chunk(b"PLTE", bytes(range(3 * colours))) if colours else b""
    rows = (b"\0" + bytes([index]) * 4) * 4
    return png(4, 4, 8, 3, data=rows, before=palette)


def exif_jpeg(exif):
    """A JPEG with these bytes as its EXIF data."""
    segment = b"Exif\0\0" + exif
    length = struct.pack(">H", len(segment) + 2)
    return b"\xff\xd8\xff\xe1" + length + segment + JPEG[2:]


def orientation(value, kind=3, offset=8):
    """EXIF data with one entry, an orientation."""
    entry = struct.pack("<HHII", 0x0112, kind, 1, value)
    return b"II*\0" + struct.pack("<I", offset) + struct.pack("<H", 1) + entry


def tiff(width, height, bits=8, strip=b"", more=()):
    """A grey TIFF whose header says what it likes."""
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
        *more,
    ]
    start = 8 + len(strip)
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    header = b"II*\0" + struct.pack("<I", start) + strip
    return header + struct.pack("<H", len(entries)) + table + b"\0\0\0\0"


def animated(kind, **options):
    frames = [PICTURE, PICTURE.rotate(180), PICTURE.convert("L")]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def bmp(width, height, bits=24, compression=0, colours=0):
    """A BMP whose header says what it likes, with a few bytes of pixels."""
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, colours, 0
    )
    return b"BM" + struct.pack("<IHHI", 200, 0, 0, 54) + info + bytes(64)


def gif(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + GIF[10:]


def zip_of(name, content, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def text_png():
    """A PNG with a compressed text of 5 MB."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Comment", "x" * 5_000_000, zip=True)
    return encode(PICTURE, "PNG", pnginfo=info)


_GREY = PICTURE.convert("L")
_DEEP = Image.fromarray((_RAMP * 30).astype("uint16"))
_FLOAT = Image.fromarray(_RAMP.astype("float32"))
_TRANSPARENT = PICTURE.quantize(7)
_ICC = b"\0" * 4000

READ = {
    "rgb.png": PNG,
    "rgb.jpg": JPEG,
    "rgb.tif": TIFF,
    "rgb.bmp": BMP,
    "rgb.webp": WEBP,
    "rgb.gif": GIF,
    "one_pixel.png": encode(PICTURE.crop((0, 0, 1, 1)), "PNG"),
    "one_row.png": encode(PICTURE.resize((900, 1)), "PNG"),
    "one_column.jpg": encode(PICTURE.resize((1, 900)), "JPEG"),
    "grey.png": encode(_GREY, "PNG"),
    "grey.jpg": encode(_GREY, "JPEG"),
    "one_bit.png": encode(_GREY.convert("1"), "PNG"),
    "one_bit.tif": encode(_GREY.convert("1"), "TIFF", compression="group4"),
    "one_bit.bmp": encode(_GREY.convert("1"), "BMP"),
    "palette.png": encode(PICTURE.quantize(9), "PNG"),
    "palette_of_two_bits.png": encode(PICTURE.quantize(4), "PNG", bits=2),
    "palette_transparent.png": encode(_TRANSPARENT, "PNG", transparency=b"\0\7\xff"),
    "palette_transparent.gif": encode(_TRANSPARENT, "GIF", transparency=2),
    "palette.tif": encode(PICTURE.quantize(9), "TIFF"),
    "palette.bmp": encode(PICTURE.quantize(9), "BMP"),
    "grey_alpha.png": encode(PICTURE.convert("LA"), "PNG"),
    "alpha.png": encode(PICTURE.convert("RGBA"), "PNG"),
    "alpha.webp": encode(PICTURE.convert("RGBA"), "WEBP"),
    "alpha.tif": encode(PICTURE.convert("RGBA"), "TIFF"),
    "cmyk.jpg": encode(PICTURE.convert("CMYK"), "JPEG"),
    "cmyk.tif": encode(PICTURE.convert("CMYK"), "TIFF"),
    "lab.tif": encode(PICTURE.convert("LAB"), "TIFF"),
    "deep_grey.png": encode(_DEEP, "PNG"),
    "deep_grey.tif": encode(_DEEP, "TIFF"),
    "deep_colour.png": png(4, 4, 16, 2, data=(b"\0" + bytes(range(24))) * 4),
    "interlaced_palette.png": png(1, 1, 8, 3, 1, b"\0\1", chunk(b"PLTE", bytes(6))),
    "interlaced.png": png(1, 1, 8, 2, 1, b"\0\1\2\3"),
    "progressive.jpg": encode(PICTURE, "JPEG", progressive=True),
    "lzw.tif": encode(PICTURE, "TIFF", compression="tiff_lzw"),
    "deflate.tif": encode(PICTURE, "TIFF", compression="tiff_adobe_deflate"),
    "jpeg_in.tif": encode(PICTURE, "TIFF", compression="jpeg"),
    "pages.tif": animated("TIFF"),
    "animated.gif": animated("GIF"),
    "animated.png": animated("PNG"),
    "animated.webp": animated("WEBP"),
    "png_called.jpg": PNG,
    "jpeg_called.png": JPEG,
    "tiff_called.bmp": TIFF,
    "junk_after.png": PNG + b"junk" * 999,
    "zip_after.jpg": JPEG + zip_of("a", b"b"),
    "script_after.gif": GIF + b"<script>alert(1)</script>",
    "orientation_6.jpg": exif_jpeg(orientation(6)),
    "orientation_0.jpg": exif_jpeg(orientation(0)),
    "orientation_9.jpg": exif_jpeg(orientation(99)),
    "orientation_of_text.jpg": exif_jpeg(orientation(6, kind=2)),
    "orientation_of_no_kind.jpg": exif_jpeg(orientation(6, kind=77)),
    "exif_far_away.jpg": exif_jpeg(orientation(6, offset=2**31)),
    "exif_in_a_circle.jpg": exif_jpeg(orientation(6) + struct.pack("<I", 8)),
    "exif_cut_short.jpg": exif_jpeg(orientation(6)[:11]),
    "exif_empty.jpg": exif_jpeg(b""),
    "exif_junk.jpg": exif_jpeg(b"\xff" * 500),
    "exif_junk.png": PNG[:33] + chunk(b"eXIf", b"\xfe" * 99) + PNG[33:],
    "exif_many.jpg": exif_jpeg(
        b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x0112, 3, 1, 6) * 900
    ),
    "profile_junk.png": encode(PICTURE, "PNG", icc_profile=_ICC),
    "profile_junk.jpg": encode(PICTURE, "JPEG", icc_profile=_ICC),
    "unknown_chunk.png": PNG[:33] + chunk(b"quAd", b"\0" * 99) + PNG[33:],
    "gamma_zero.png": PNG[:33] + chunk(b"gAMA", b"\0" * 4) + PNG[33:],
    "density_zero.png": PNG[:33] + chunk(b"pHYs", b"\0" * 9) + PNG[33:],
    "upwards.bmp": BMP[:22] + struct.pack("<i", -40) + BMP[26:],
}

REFUSED = {
    "empty.png": b"",
    "one_byte.png": b"\x89",
    "zeros.png": bytes(5000),
    "text.png": b"this is no image",
    "text.jpg": "größer\n".encode() * 50,
    "html.jpg": b"<!doctype html><title>404 Not Found</title>",
    "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "svg_entities.png": b"<!DOCTYPE a [<!ENTITY b 'bbbb'>]><svg>&b;</svg>",
    "script.gif": b"#!/bin/sh\nrm -rf /\n",
    "elf.bmp": b"\x7fELF" + bytes(100),
    "pickle.png": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "zip.png": zip_of("a.png", PNG),
    "zip_bomb.png": zip_of("a", bytes(10_000_000)),
    "gzip.jpg": gzip.compress(PNG, mtime=0),
    "gzip_bomb.tif": gzip.compress(bytes(10_000_000), mtime=0),
    "lfs_pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "ico.png": encode(PICTURE.resize((16, 16)), "ICO"),
    "ppm.png": encode(PICTURE, "PPM"),
    "pdf.png": encode(PICTURE, "PDF"),
    "eps.jpg": encode(PICTURE, "EPS"),
    "tga.bmp": encode(PICTURE, "TGA"),
    "jpeg2000.jpg": encode(PICTURE, "JPEG2000"),
    "float.tif": encode(_FLOAT, "TIFF"),
    "float_nan.tif": encode(_FLOAT.point(lambda v: v * 1e38 + 1e38), "TIFF"),
    "deep_int_negative.tif": encode(
        Image.fromarray(_RAMP.astype("int32") - 999), "TIFF"
    ),
    "deep_int_large.tif": encode(Image.fromarray(_RAMP.astype("int32") * 999), "TIFF"),
    "cut_short.png": PNG[: len(PNG) // 2],
    "cut_short.jpg": JPEG[: len(JPEG) // 2],
    "cut_short.tif": TIFF[: len(TIFF) // 2],
    "cut_short.bmp": BMP[: len(BMP) // 2],
    "cut_short.webp": WEBP[: len(WEBP) // 2],
    "cut_short.gif": GIF[:40],
    "header_alone.png": PNG[:33],
    "header_alone.jpg": JPEG[:20],
    "header_alone.tif": b"II*\0",
    "header_alone.bmp": BMP[:54],
    "header_alone.gif": GIF[:13],
    "header_alone.webp": WEBP[:12],
    "no_pixels.png": png(4, 4),
    "wrong_checksum.png": PNG[:40] + bytes([PNG[40] ^ 1]) + PNG[41:],
    "wrong_zlib.png": png(9, 9).replace(b"\x78\x9c", b"\x00\x00"),
    "no_height.png": png(4, 0),
    "no_width.png": png(0, 4),
    "no_size.bmp": bmp(0, 0),
    "no_size.gif": gif(0, 0)[:13] + b";",
    "depth_3.png": png(4, 4, 3),
    "colour_7.png": png(4, 4, 8, 7),
    "no_palette.png": palette_png(0, 3),
    "beyond_the_palette.png": palette_png(2, 200),
    "bomb.png": png(20000, 20000, data=bytes(1000)),
    "bomb_that_pillow_warns_of.png": png(10000, 9000, data=bytes(1000)),
    "bomb_of_one_row.png": png(2**31 - 1, 1),
    "bomb_of_four_billion.png": png(2**32 - 1, 2**32 - 1),
    "bomb.tif": tiff(60000, 60000, strip=bytes(64)),
    "bomb_of_bits.tif": tiff(4, 4, bits=60000, strip=bytes(64)),
    "bomb.bmp": bmp(60000, 60000),
    "bomb_negative.bmp": bmp(-(2**31), -(2**31)),
    "bomb.gif": gif(65535, 65535),
    "bomb.webp": b"RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f\xff\xff\xff\xff\0",
    "runs.bmp": bmp(4, 4, 8, 1),
    "no_such_compression.bmp": bmp(4, 4, 24, 99),
    "no_such_bits.bmp": bmp(4, 4, 7),
    "too_many_colours.bmp": bmp(4, 4, 8, 0, 2**31),
    "no_such_compression.tif": tiff(4, 4, strip=bytes(16), more=[(259, 3, 1, 77)]),
    "no_pages.tif": b"II*\0\0\0\0\0",
    # Pillow writes it and can not read it.
    "ycbcr.tif": encode(PICTURE.convert("YCbCr"), "TIFF"),
    "pages_in_a_circle.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "text_of_5_mb.png": text_png(),
}
