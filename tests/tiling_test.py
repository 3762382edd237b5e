"""How images are cut into tiles: every pixel is somewhere, and counts once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_rlr.layers.tiles import blend_tiles, cut_tile, cut_tiles
from keras_rlr.tiling import Tiling, checked_overlap, tiles_from_words


@st.composite
def tilings(draw):
    height, width = draw(st.integers(2, 9)), draw(st.integers(2, 9))
    overlaps = draw(st.integers(0, height // 2)), draw(st.integers(0, width // 2))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    overlaps = (overlaps[0] if rows > 1 else 0, overlaps[1] if columns > 1 else 0)
    return Tiling(rows, columns, height, width, overlaps)


@pytest.mark.backend_independent
@settings(deadline=None)
@given(tilings(), st.integers(0, 2**32 - 1))
def test_tiles_cover_the_image_and_blend_to_it_again(tiling, seed):
    height, width = tiling.whole_size
    whole = (
        np.random.default_rng(seed).normal(size=(2, height, width)).astype("float32")
    )
    tiles = np.stack(
        [[tiling.cut(image, i) for i in range(tiling.count)] for image in whole]
    )
    assert tiles.shape == (2, tiling.count, tiling.height, tiling.width)
    # Where all tiles agree on a place, the blend is what they say.
    np.testing.assert_allclose(
        ops.convert_to_numpy(blend_tiles(tiles, tiling)), whole, atol=1e-5
    )
    # And a place's weights add up to 1, so that a constant stays one.
    constant = np.full(tiles.shape, 7.0, "float32")
    blended = ops.convert_to_numpy(blend_tiles(constant, tiling))
    np.testing.assert_allclose(blended, 7.0, atol=1e-4)


def test_in_a_graph_they_are_cut_and_blended_as_by_numpy():
    tiling = Tiling.of((2, 3), 0.25, (8, 12))
    assert tiling.overlaps == (2, 3)
    assert tiling.whole_size == (14, 30)
    images = np.random.default_rng(0).normal(size=(2, 14, 30, 3)).astype("float32")
    expected = [[tiling.cut(x, i) for i in range(6)] for x in images]
    tiles = ops.convert_to_numpy(cut_tiles(images, tiling))
    np.testing.assert_array_equal(np.reshape(tiles, (2, 6, 8, 12, 3)), expected)
    corner = np.array(tiling.corners[4], "int32")
    tile = ops.convert_to_numpy(cut_tile(ops.convert_to_tensor(images), corner, tiling))
    np.testing.assert_array_equal(tile, np.array(expected)[:, 4])
    maps = np.random.default_rng(1).normal(size=(2, 6, 8, 12)).astype("float32")
    of_rows, of_columns = tiling.weights()
    wanted = np.zeros((2, 14, 30))
    for number, (top, left) in enumerate(tiling.corners):
        weight = np.outer(of_rows[number // 3], of_columns[number % 3])
        wanted[:, top : top + 8, left : left + 12] += weight * maps[:, number]
    blended = ops.convert_to_numpy(blend_tiles(maps, tiling))
    np.testing.assert_allclose(blended, wanted, atol=1e-5)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("overlap", "pixels"),
    [(0.25, (16, 32)), (0.5, (32, 64)), (10, (10, 10)), (0, (0, 0))],
)
def test_overlap_is_a_share_or_pixels(overlap, pixels):
    assert Tiling.of((2, 2), overlap, (64, 128)).overlaps == pixels


@pytest.mark.backend_independent
def test_a_row_alone_has_no_neighbours_above():
    tiling = Tiling.of((1, 4), 0.25, 64)
    assert tiling.overlaps == (0, 16)
    assert tiling.whole_size == (64, 4 * 48 + 16)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "overlap", [-0.1, 0.6, 0.9, 1.5, True, "a", None, float("nan")]
)
def test_what_is_no_overlap_is_refused(overlap):
    with pytest.raises(ValueError, match="from 0 to 0.5, or a whole number of pixels"):
        checked_overlap(overlap)


@pytest.mark.backend_independent
def test_more_than_half_a_tile_is_refused():
    with pytest.raises(ValueError, match="at most half a tile.*64x128"):
        Tiling.of((2, 2), 40, (64, 128))


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "tiles", [(0, 2), (2,), 4, "2x2", (2, 2.0), (1, 2, 3), (True, 2)]
)
def test_what_are_no_tiles_is_refused(tiles):
    with pytest.raises(ValueError, match=r"`tiles` must be \(rows, columns\)"):
        Tiling.of(tiles, 0.25, 64)


@pytest.mark.backend_independent
def test_words():
    assert tiles_from_words("2x5") == tiles_from_words(" 2 X 5 ") == (2, 5)
    for words in ("", "2", "2x", "x5", "2x5x1", "-2x5"):
        with pytest.raises(ValueError, match="rows x columns"):
            tiles_from_words(words)
