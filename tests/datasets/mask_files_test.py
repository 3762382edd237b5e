import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_rlr.datasets.mask_files import read_mask, read_mask_as_it_is
from keras_rlr.inputs.masks import to_mask

pytestmark = pytest.mark.backend_independent

SIDES = st.tuples(st.integers(1, 5), st.integers(1, 5))


# An odd number of mask pixels: no centre then lies on a border, where Pillow's choice
# depends on rounding.
@settings(max_examples=60, deadline=None)
@given(SIDES, st.sampled_from([1, 3, 5]), st.integers(1, 6), st.integers(0, 9))
def test_masks_are_resized_as_pillow_does_nearest(
    tmp_path_factory, sides, mask_factor, image_factor, seed
):
    file = tmp_path_factory.mktemp("mask") / "mask.png"
    sides = [2 * side + 1 for side in sides]
    mask_size = [mask_factor * side for side in sides]
    height, width = (image_factor * side for side in sides)
    mask = np.random.default_rng(seed).integers(0, 2, mask_size, "uint8")
    Image.fromarray(mask).save(file)
    expected = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(read_mask(file, height, width), np.asarray(expected))


def test_a_size_rounded_to_whole_pixels_is_accepted(tmp_path):
    Image.fromarray(np.ones((333, 250), "uint8")).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", 1000, 750).all()


def test_other_proportions_are_refused_by_name(tmp_path):
    Image.fromarray(np.ones((30, 40), "uint8")).save(tmp_path / "mask.png")
    message = "mask.png' is 40x30 pixels, but its image is 30x40: the proportions"
    with pytest.raises(ValueError, match=message):
        read_mask(tmp_path / "mask.png", 40, 30)


@pytest.mark.parametrize("highest", [1, 7, 255])
def test_any_value_above_zero_is_anomalous(tmp_path, highest):
    values = np.array([[0, 1], [highest, 0]], "uint8")
    Image.fromarray(values).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", 2, 2)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, [[0, 1], [1, 0]])


def test_of_a_palette_the_indices_count(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 0]], "uint8"))
    image.putpalette([255, 255, 255, 1, 0, 0, 9, 9, 9])
    image.save(tmp_path / "mask.png")
    assert Image.open(tmp_path / "mask.png").mode == "P"
    np.testing.assert_array_equal(
        read_mask(tmp_path / "mask.png", 2, 2), [[0, 1], [1, 0]]
    )


ROUND = np.hypot(*np.mgrid[-20:20, -20:20]) < 15
LOSSLESS = [
    ("PNG", {}), ("BMP", {}), ("GIF", {}), ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_deflate"}),
]  # fmt: skip
LOSSY = [
    ("JPEG", {"quality": 95}), ("MPO", {}), ("WEBP", {"quality": 80}),
    ("TIFF", {"compression": "jpeg"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_formats_that_keep_every_pixel_are_read(tmp_path, kind, options):
    path = tmp_path / "mask.png"
    Image.fromarray(np.uint8(255 * ROUND)).save(path, kind, **options)
    np.testing.assert_array_equal(read_mask_as_it_is(path), ROUND)
    np.testing.assert_array_equal(read_mask(path, 40, 40), ROUND)


@pytest.mark.parametrize("name", ["mask.png", "mask.jpg"])
@pytest.mark.parametrize(("kind", "options"), LOSSY)
def test_formats_that_change_pixels_are_refused(tmp_path, kind, options, name):
    path = tmp_path / name
    Image.fromarray(np.uint8(255 * ROUND)).save(path, kind, **options)
    # What makes them no masks, told without what is tested.
    assert ((np.asarray(Image.open(path).convert("L")) > 0) != ROUND).any()
    message = (
        rf"{name}' is in a format that changes pixels \((JPEG|MPO|WEBP|TIFF comp.*)\): "
        r".* Save masks as \.png, \.bmp, \.tif or \.gif files"
    )
    for read in (read_mask_as_it_is, lambda path: read_mask(path, 40, 40)):
        with pytest.raises(ValueError, match=message):
            read(path)


def test_a_damaged_mask_is_refused_by_name(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"mask.png' can't be read as an image"):
        read_mask(tmp_path / "mask.png", 2, 2)


@pytest.mark.parametrize("name", ["mask.png", "mask.bmp", "mask.tif", "mask.gif"])
def test_a_palette_whose_colours_say_the_opposite_is_refused(tmp_path, name):
    """Programs that reduce colours give black any index: masks were turned round."""
    drawn = Image.fromarray(np.uint8(255 * ROUND))
    reduced = Image.fromarray(1 - np.uint8(ROUND))
    reduced.putpalette([255, 255, 255, 0, 0, 0])
    reduced.save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        # It shows what was drawn.
        np.testing.assert_array_equal(image.convert("L"), drawn)
        message = "is black where its index in the palette is 1"
        with pytest.raises(ValueError, match=rf"A mask {message}"):
            to_mask(image)
    for read in (read_mask_as_it_is, lambda path: read_mask(path, 40, 40)):
        with pytest.raises(ValueError, match=rf"{name}' {message}.* Save masks as g"):
            read(tmp_path / name)


def test_indices_above_0_may_be_of_any_colour_where_0_is_black(tmp_path):
    values = np.uint8([[0, 3], [2, 1]])
    image = Image.fromarray(values)
    image.putpalette([0, 0, 0, 9, 0, 0, 255, 255, 255, 0, 0, 0])
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask_as_it_is(tmp_path / "mask.png"), values > 0)
    np.testing.assert_array_equal(to_mask(image), values)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG"])
def test_a_mask_of_several_pages_is_refused(tmp_path, kind):
    first, second = np.zeros((2, 9, 8), "uint8")
    first[2], second[5] = 255, 255
    path = tmp_path / "mask"
    pages = list(map(Image.fromarray, (first, second)))
    pages[0].save(path, kind, save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match="mask' has several pages or frames, and wha"):
        read_mask(path, 9, 8)
