import pytest

from keras_rlr.backbones.catalogue import CHANNELS

pytestmark = pytest.mark.backend_independent

# Width coefficients of Tan and Le, and the channels of B0 at strides 4, 8 and 16.
WIDTHS = {
    "efficientnet_b0": 1.0,
    "efficientnet_b1": 1.0,
    "efficientnet_b2": 1.1,
    "efficientnet_b3": 1.2,
    "efficientnet_b4": 1.4,
    "efficientnet_b5": 1.6,
    "efficientnet_b6": 1.8,
    "efficientnet_b7": 2.0,
    "efficientnet_lite2": 1.1,
}


def scaled(channels, width):
    """To the nearest multiple of 8, but never more than a tenth below."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


def test_channels_follow_from_the_width_coefficients():
    expected = {
        name: tuple(scaled(channels, width) for channels in (24, 40, 112))
        for name, width in WIDTHS.items()
    }
    assert expected == CHANNELS
