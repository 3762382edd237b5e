import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from keras_rlr.datasets.procedural.png_file import write_png

pytestmark = pytest.mark.backend_independent


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3])),
    )
)
def test_pillow_reads_what_was_written(tmp_path_factory, pixels):
    path = tmp_path_factory.mktemp("png") / "image.png"
    write_png(path, pixels)
    with Image.open(path) as image:
        assert image.mode == {1: "L", 3: "RGB"}[pixels.shape[-1]]
        read = np.asarray(image).reshape(pixels.shape)
    np.testing.assert_array_equal(read, pixels)


def test_images_of_many_blocks(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 211, 3), "uint8")
    write_png(tmp_path / "large.png", pixels)
    with Image.open(tmp_path / "large.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_bytes_are_fixed(tmp_path):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    write_png(tmp_path / "small.png", pixels)
    rows = "00 000102 030405 060708  00 090a0b 0c0d0e 0f1011"
    expected = (
        "89504e470d0a1a0a"
        "0000000d 49484452 00000003 00000002 08 02 00 00 00 1216f14d"
        f"0000001f 49444154 7801 01 1400 ebff {rows} 0401009a 2186f64c"
        "00000000 49454e44 ae426082"
    )
    assert (tmp_path / "small.png").read_bytes() == bytes.fromhex(expected)
