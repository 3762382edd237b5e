import numpy as np
import pytest
from matplotlib import colormaps
from scipy.ndimage import gaussian_filter

from keras_rlr.evaluation import HeatScale, draw_overlay, overlay
from keras_rlr.evaluation.overlay import side_by_side

pytestmark = pytest.mark.backend_independent

SCALE = HeatScale.of_threshold(1.0)


def photograph(height=256, width=256, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), "uint8")


def panels(picture, width):
    """The image and the overlay of a picture, as int arrays."""
    pixels = np.asarray(picture).astype(int)
    return pixels[:, :width], pixels[:, width + 8 : 2 * width + 8]


def spot():
    """A map that is 0.3 with a spot that reaches past the threshold."""
    anomaly_map = np.full((64, 64), 0.3, "float32")
    anomaly_map[20:40, 20:40] = 3.0
    return anomaly_map


def test_a_quiet_map_leaves_the_image_as_it_is():
    image = photograph()
    left, right = panels(draw_overlay(image, np.full((64, 64), 0.4), SCALE), 256)
    np.testing.assert_array_equal(left, image)
    np.testing.assert_array_equal(right, image)


def test_colour_is_where_the_smoothed_map_is_above_the_scales_low_end():
    image = np.full((256, 256, 3), 90, "uint8")
    left, right = panels(draw_overlay(image, spot(), SCALE), 256)
    changed = np.abs(right - left).max(-1) > 4
    smooth = gaussian_filter(spot(), 4.0)
    assert changed[120, 120]
    assert not changed[:40].any() and not changed[:, 220:].any()
    # Four pixels of the picture for one of the map.
    share = (smooth > SCALE.low).mean()
    assert changed.mean() == pytest.approx(share, rel=0.15)


def test_one_scale_draws_two_maps_comparably():
    image = np.full((256, 256, 3), 90, "uint8")
    _, strong = panels(draw_overlay(image, spot(), SCALE), 256)
    _, weak = panels(draw_overlay(image, spot() * 0.15, SCALE), 256)
    np.testing.assert_array_equal(weak, 90)
    assert np.abs(strong - 90).max() > 60


@pytest.mark.parametrize("factor", [1.0, 1e-4], ids=["its units", "other units"])
def test_colour_passes_the_threshold_where_the_score_does(factor):
    # As of methods that smooth the map themselves, or whose score is no peak of it.
    image = np.full((256, 256, 3), 90, "uint8")
    anomaly_map = gaussian_filter(spot(), 2.0) * factor
    peak = []
    for score in (0.99 * SCALE.low, 0.99, 1.01):
        _, drawn = panels(draw_overlay(image, anomaly_map, SCALE, score=score), 256)
        peak.append(np.abs(drawn - 90).max())
    # What the same score is drawn as by the method of which it is the smoothed peak.
    smooth = gaussian_filter(spot(), 4.0)
    _, other = panels(draw_overlay(image, spot() / smooth.max(), SCALE, score=1.0), 256)
    assert peak[0] == 0 and peak[1] <= np.abs(other - 90).max() <= peak[2]


def test_a_score_below_0_is_the_highest_value_of_its_map():
    image = np.full((256, 256, 3), 90, "uint8")
    scale = HeatScale.of_threshold(-1.0)
    for score, is_coloured in ((-1.26, False), (-0.9, True)):
        _, drawn = panels(draw_overlay(image, spot(), scale, score=score), 256)
        assert (drawn != 90).any() == is_coloured


def test_the_mask_is_outlined_and_not_filled():
    image = np.full((256, 256, 3), 90, "uint8")
    mask = np.zeros((256, 256), "uint8")
    mask[50:100, 60:120] = 1
    _, right = panels(draw_overlay(image, np.zeros((64, 64)), SCALE, mask), 256)
    changed = (right != 90).any(-1)
    expected = mask.astype(bool)
    expected[51:99, 61:119] = False
    np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((700, 900, 3), (398, 512)),
        ((64, 32, 3), (256, 128)),
        ((300, 300, 1), (300, 300)),
        ((1, 2000, 3), (1, 512)),
    ],
)
def test_the_aspect_ratio_is_kept_and_the_size_bounded(shape, size):
    picture = draw_overlay(photograph(*shape), spot(), SCALE)
    height, width = size
    assert picture.size == (2 * width + 16 + 76, height)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_takes_the_images_that_predict_takes(channels):
    left, _ = panels(draw_overlay(photograph(channels=channels), spot(), SCALE), 256)
    assert left.shape == (256, 256, 3)


def test_16_bit_images_are_not_saturated():
    image = np.full((256, 256, 1), 128 * 257, "uint16")
    left, _ = panels(draw_overlay(image, np.zeros((64, 64)), SCALE), 256)
    np.testing.assert_array_equal(left, 128)


def test_scales():
    assert HeatScale.of_threshold(2.0) == HeatScale(1.5, 4.0, 2.0)
    # SimpleNet's scores of normal images are below 0.
    assert HeatScale.of_threshold(-2.0) == HeatScale(-2.5, 0.0, -2.0)
    assert HeatScale.of_threshold(0.0).low < 0 < HeatScale.of_threshold(0.0).high
    assert HeatScale.of_scores([3.0, 1.0, 2.0]) == HeatScale(1.0, 3.0)
    same = HeatScale.of_scores([2.0, 2.0])
    assert same.low == 2.0 < same.high
    np.testing.assert_allclose(
        SCALE.position(np.array([0, 0.75, 1.0, 9])), [0, 0, 0.2, 1]
    )


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_refuses_a_scale_without_extent(ends):
    with pytest.raises(ValueError, match="finite low < high"):
        HeatScale(*ends)


def test_a_value_beyond_the_scale_has_the_colour_of_its_end():
    image = np.full((256, 256, 3), 90, "uint8")
    values = (SCALE.high, 9 * SCALE.high, SCALE.low, -9.0)
    maps = (np.full((64, 64), value, "float32") for value in values)
    shown = [panels(draw_overlay(image, each, SCALE), 256)[1] for each in maps]
    np.testing.assert_array_equal(shown[1], shown[0])
    np.testing.assert_array_equal(shown[3], shown[2])
    np.testing.assert_array_equal(shown[3], image)


def lightness_of(colours):
    linear = np.where(
        colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92
    )
    return np.cbrt(linear @ [0.2126, 0.7152, 0.0722])


def test_the_colours_grow_evenly_lighter():
    colours = colormaps[overlay._COLOURS](np.linspace(0, 1, 101))[:, :3]
    steps = np.diff(lightness_of(colours)[5:])
    assert steps.min() > 0
    assert steps.max() < 2.5 * steps.mean()


def test_so_do_those_of_the_legend():
    """Which shows all of them over grey, from the top down."""
    picture = np.asarray(side_by_side([np.zeros((256, 8, 3))], SCALE))
    lightness = lightness_of(picture[6:250, 8 + 8 + 4][::-1] / 255)
    # In the upper half, where they are laid over the image in full.
    steps = np.diff(lightness[len(lightness) // 2 :: 8])
    assert steps.min() > 0
    assert steps.max() < 2.5 * steps.mean()
