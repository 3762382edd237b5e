"""Textures that the package paints, in place of a data set of them."""

import math

import numpy as np

from keras_rlr.methods.draem.perlin import perlin_noise


def paint_texture(size, generator):
    """Returns clouds, marble, stripes, checks or spots of two or three colours.

    Args:
        size: (height, width).
        generator: `numpy.random.Generator`; the same gives the same texture.

    Returns:
        float32 array (height, width, 3) in 0-255.
    """
    field = _KINDS[generator.integers(len(_KINDS))](size, generator)
    if generator.random() < 0.4:
        # Sharp edges between the colours.
        field = np.clip((field - 0.5) * generator.uniform(4.0, 40.0) + 0.5, 0.0, 1.0)
    first, second, third = generator.uniform(0.0, 255.0, (3, 1, 1, 3))
    colour = first + (second - first) * field[..., None]
    if generator.random() < 0.5:
        share = np.clip(_noise(size, generator, 3), 0.0, 1.0)
        colour = colour + (third - colour) * share[..., None]
    grain = generator.standard_normal((*size, 1), "float32")
    colour = colour + grain * generator.uniform(0.0, 14.0)
    return np.clip(colour, 0.0, 255.0).astype("float32")


def _noise(size, generator, largest):
    """Noise of 2 to 2^largest cells a side, turned anyhow."""
    cells = 2 ** generator.integers(1, largest + 1, 2)
    angle = generator.uniform(-math.pi, math.pi)
    return perlin_noise(size, tuple(map(int, cells)), generator, angle)


def _clouds(size, generator):
    field = _noise(size, generator, 3)
    for strength in (0.5, 0.25):
        field = field + strength * _noise(size, generator, 6)
    return np.clip(0.5 + 0.6 * field, 0.0, 1.0)


def _ramp(size, generator):
    """A coordinate that runs from about 0 to 1 in some direction, bent by noise."""
    angle = generator.uniform(-math.pi, math.pi)
    y = np.linspace(0.0, 1.0, size[0], dtype="float32")[:, None]
    x = np.linspace(0.0, 1.0, size[1], dtype="float32")[None]
    bend = generator.uniform(0.0, 0.1) * _noise(size, generator, 3)
    return y * math.cos(angle) + x * math.sin(angle) + bend


def _waves(ramp, generator):
    count = 2.0 ** generator.uniform(1.5, 5.5)
    return np.sin(2.0 * math.pi * (count * ramp + generator.random()))


def _stripes(size, generator):
    return 0.5 + 0.5 * _waves(_ramp(size, generator), generator)


def _checks(size, generator):
    down = _waves(_ramp(size, generator), generator)
    return 0.5 + 0.5 * down * _waves(_ramp(size, generator), generator)


def _marble(size, generator):
    vein = np.abs(
        _waves(_ramp(size, generator) + 0.2 * _clouds(size, generator), generator)
    )
    return np.sqrt(vein)


def _spots(size, generator):
    fine = 2 ** generator.integers(3, 7)
    noise = perlin_noise(size, (int(fine), int(fine)), generator)
    return np.clip(0.5 + 2.0 * (noise - generator.uniform(-0.2, 0.4)), 0.0, 1.0)


_KINDS = (_clouds, _stripes, _checks, _marble, _spots)
