import io
import os
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, TiffImagePlugin

from keras_rlr.datasets import find_images, image_files, read_image
from keras_rlr.datasets.image_files import IMAGE_FORMATS, read_image_bytes
from keras_rlr.inputs import pillow_images

pytestmark = pytest.mark.backend_independent

RED = np.zeros((5, 7, 3), "uint8")
RED[..., 0] = 200
RED[0, 0] = (1, 2, 3)


def save(path, image, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_lossless_formats_keep_every_pixel(tmp_path, suffix):
    pixels = read_image(save(tmp_path / f"image{suffix}", RED))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, RED)


def test_webp_and_jpeg_are_read(tmp_path):
    lossless = read_image(save(tmp_path / "a.webp", RED, lossless=True))
    np.testing.assert_array_equal(lossless, RED)
    grey = np.full((16, 16), 90, "uint8")
    jpeg = read_image(save(tmp_path / "a.jpg", grey, quality=95))
    np.testing.assert_array_equal(jpeg, grey[..., None])


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 3, 4])),
    )
)
def test_channels_and_pixels_of_png_are_kept(tmp_path_factory, pixels):
    path = tmp_path_factory.mktemp("png") / "image.png"
    save(path, pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    np.testing.assert_array_equal(read_image(path), pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_keeps_its_depth(tmp_path, suffix):
    grey = np.array([[0, 255, 256], [4097, 65534, 65535]], "uint16")
    pixels = read_image(save(tmp_path / f"deep{suffix}", grey))
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, grey[..., None])


def test_big_endian_16_bit_tiff(tmp_path):
    grey = np.array([[1, 256], [513, 65535]], ">u2")
    header = b"MM\0*" + struct.pack(">I", 8)
    tags = [
        (256, 2),
        (257, 2),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 8 + 2 + 8 * 12 + 4),
    ]
    tags += [(278, 2), (279, 8)]
    entries = b"".join(
        struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags
    )
    directory = struct.pack(">H", len(tags)) + entries + struct.pack(">I", 0)
    path = tmp_path / "big.tif"
    path.write_bytes(header + directory + grey.tobytes())
    pixels = read_image(path)
    assert pixels.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(pixels[..., 0], grey)


def test_32_bit_grey_is_read_if_it_fits_in_16_bits(tmp_path):
    grey = np.array([[0, 70], [300, 65535]], "int32")
    pixels = read_image(save(tmp_path / "fits.tif", grey))
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[..., 0], grey)
    path = save(tmp_path / "high.tif", grey + 1)
    with pytest.raises(ValueError, match="high.tif.*32-bit pixels don't fit"):
        read_image(path)


def test_float_pixels_are_refused(tmp_path):
    path = save(tmp_path / "float.tif", np.zeros((2, 2), "float32"))
    with pytest.raises(ValueError, match=r"float.tif.*unsupported kind \('F'\)"):
        read_image(path)


def test_palette_becomes_its_colours(tmp_path):
    image = Image.fromarray(RED).quantize(4)
    assert image.mode == "P"
    path = save(tmp_path / "palette.png", image)
    np.testing.assert_array_equal(read_image(path), RED)
    path = save(tmp_path / "clear.png", image, transparency=0)
    assert read_image(path).shape == (5, 7, 4)


def test_one_bit_becomes_grey(tmp_path):
    bits = np.array([[True, False], [False, True]])
    pixels = read_image(save(tmp_path / "bits.png", bits))
    np.testing.assert_array_equal(pixels[..., 0], bits * 255)


def test_cmyk_becomes_rgb(tmp_path):
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixels = read_image(save(tmp_path / "cmyk.jpg", cmyk, quality=95))
    assert pixels.shape == (16, 16, 3)
    assert (pixels[..., 0] > 200).all() and (pixels[..., 1:] < 60).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_orientation_is_not_applied_and_the_first_is_named(
    suffix, tmp_path, monkeypatch
):
    once = image_files._Once(image_files._is_turned, "has an orientation.")
    monkeypatch.setattr(image_files, "_OF_ORIENTATION", once)
    exif = Image.Exif()
    exif[0x0112] = 1
    upright = save(tmp_path / f"upright.{suffix}", RED, exif=exif)
    exif[0x0112] = 6
    paths = [save(tmp_path / f"{i}.{suffix}", RED, exif=exif) for i in range(2)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_image(upright).shape == (5, 7, 3)
        assert not caught
        for path in paths:
            assert read_image(path).shape == (5, 7, 3)
            assert read_image_bytes(path.read_bytes(), "a").shape == (5, 7, 3)
    (warning,) = caught
    assert f"'{paths[0]}' has an orientation" in str(warning.message)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image file '.*gone.png'"):
        read_image(tmp_path / "gone.png")


def test_empty_file(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty.png.*it is empty.*remove it"):
        read_image(tmp_path / "empty.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp"])
def test_truncated_file(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    path = save(tmp_path / name, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"{name}' can't be read.*restore"):
        read_image(path)


def test_not_an_image(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("this is text")
    with pytest.raises(
        ValueError, match=r"notes.png' can't be read as an image: it is"
    ):
        read_image(path)


@pytest.mark.parametrize("kind", ["ICO", "PPM", "TGA"])
def test_formats_off_the_list_are_refused(tmp_path, kind):
    assert kind not in IMAGE_FORMATS
    path = tmp_path / "disguised.png"
    Image.fromarray(RED).save(path, format=kind)
    with pytest.raises(ValueError, match=r"disguised.png.*Expected a complete PNG"):
        read_image(path)


def test_what_pillow_only_warns_of_is_refused(tmp_path, monkeypatch, recwarn):
    path = save(tmp_path / "large.png", np.zeros((10, 11), "uint8"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 110)
    assert read_image(path).shape == (10, 11, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 109)
    with pytest.raises(ValueError, match=r"large.png.*110 pixels exceed"):
        read_image(path)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "I;16", "CMYK", "1"])
def test_large_images_are_copied_in_strips(tmp_path, monkeypatch, mode):
    pixels = np.random.default_rng(0).integers(0, 60_000, (530, 70), "uint16")
    image = Image.fromarray(pixels)
    if mode != "I;16":
        image = Image.fromarray((pixels % 256).astype("uint8")).convert(mode)
    path = tmp_path / "large.tif"
    image.save(path)
    expected = read_image(path)
    monkeypatch.setattr(pillow_images, "_LARGE", 1000)
    found = read_image(path)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype and found.flags.writeable


@pytest.mark.parametrize(("room", "expected"), [(5000, 2), (1000, 1), (10**6, 8)])
def test_so_many_images_are_decoded_at_once_as_there_is_room_for(
    tmp_path, monkeypatch, room, expected
):
    path = save(tmp_path / "image.png", np.zeros((40, 50, 3), "uint8"))
    monkeypatch.setattr(image_files, "_ROOM", image_files._Room(room))
    decoding, most = [], []

    def to_array(image):
        # Not the images: they are compared by their pixels, which would be decoded.
        decoding.append(id(image))
        most.append(len(decoding))
        time.sleep(0.02)
        decoding.remove(id(image))
        return np.zeros(1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: image_files.decode(path, to_array), range(16)))
    assert max(most) <= expected and len(most) == 16
    with pytest.raises(ValueError, match="can't be read"):
        image_files.decode(path, lambda image: 1 / 0)
    assert image_files._ROOM._free == room


def test_decompression_bomb(tmp_path):
    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    side = 20000
    rows = zlib.compress(bytes(1000))
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match=r"bomb.png.*pixels"):
        read_image(path)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_damage_never_escapes_as_another_error(tmp_path_factory, junk, start):
    buffer = io.BytesIO()
    Image.fromarray(RED).save(buffer, format="PNG")
    content = bytearray(buffer.getvalue())
    start %= len(content)
    content[start : start + len(junk)] = junk
    path = tmp_path_factory.mktemp("damage") / "image.png"
    path.write_bytes(content)
    try:
        pixels = read_image(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert pixels.dtype in (np.uint8, np.uint16) and pixels.ndim == 3


def test_find_images_is_recursive_sorted_and_ignores_the_rest(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "a.tiff", "c/d/e.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".hidden.png").touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "thumbnail.png").touch()
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["a.tiff", "b/1.JPG", "b/2.png", "c/d/e.webp"]


def test_links_are_followed_without_loops(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "1.png").touch()
    (tmp_path / "elsewhere" / "2.png").touch()
    os.symlink(tmp_path / "data", tmp_path / "data" / "again")
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "linked")
    os.symlink(tmp_path, tmp_path / "data" / "above")
    os.symlink(tmp_path / "gone.png", tmp_path / "data" / "broken.png")
    found = [path.name for path in find_images(tmp_path / "data")]
    assert found == ["1.png", "2.png"]


def test_find_images_of_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder '.*gone'"):
        find_images(tmp_path / "gone")
    (tmp_path / "file.png").touch()
    with pytest.raises(NotADirectoryError, match=r"file.png' is a file"):
        find_images(tmp_path / "file.png")


def test_of_a_gif_the_first_frame_is_read(tmp_path):
    first = Image.fromarray(RED).quantize(4)
    later = Image.fromarray(RED[::-1].copy()).quantize(4)
    path = save(tmp_path / "moving.gif", first, save_all=True, append_images=[later])
    assert Image.open(path).n_frames == 2
    np.testing.assert_array_equal(read_image(path), RED)
    grey = np.arange(35, dtype="uint8").reshape(5, 7)
    np.testing.assert_array_equal(
        read_image(save(tmp_path / "a.gif", grey)).max(-1), grey
    )


def test_the_first_file_of_several_pages_is_named(tmp_path, monkeypatch):
    once = image_files._Once(image_files.has_more_pages, "has several pages.")
    monkeypatch.setattr(image_files, "_OF_PAGES", once)
    page, small = Image.fromarray(RED), Image.fromarray(RED[:3])
    path = tmp_path / "pyramid.tif"
    with TiffImagePlugin.AppendingTiffWriter(path, new=True) as file:
        for level, tags in ((page, {}), (small, {254: 1})):
            level.save(file, "TIFF", tiffinfo=tags)
            file.newFrame()

    def save_both(name, **options):
        # Pillow's images keep what they were encoded with.
        more = [page.rotate(180)]
        options = {"save_all": True, "append_images": more, **options}
        return save(tmp_path / name, page.copy(), **options)

    photograph = save_both("a.jpg", format="MPO")
    for several in (path, photograph):
        with Image.open(several) as image:
            assert image.n_frames == 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Smaller copies of the first page, and previews of cameras, are no more of it.
        (
            read_image(path),
            read_image(photograph),
            read_image(save(tmp_path / "1.png", RED)),
        )
        assert not caught
        for kind in ("tif", "gif", "png"):
            read_image(save_both(f"{kind}.{kind}"))
    (warning,) = caught
    assert f"'{tmp_path / 'tif.tif'}' has several pages." in str(warning.message)
