"""Perlin noise: smooth random fields, from which masks and textures are made."""

import math

import numpy as np


def perlin_noise(size, cells, generator, angle=0.0):
    """Returns smooth noise of mean 0, about in [-1, 1].

    Gradient noise with the quintic fade, times √2. Source: Perlin, "Improving noise",
    SIGGRAPH 2002.

    Args:
        size: (height, width) of the result.
        cells: (rows, columns) of the lattice that cover it; few are large blobs.
        generator: `numpy.random.Generator`.
        angle: By which the lattice is turned about the centre, in radians.

    Returns:
        float32 array (height, width).
    """
    height, width = size
    y = ((np.arange(height, dtype="float32") + 0.5) / height - 0.5)[:, None]
    x = ((np.arange(width, dtype="float32") + 0.5) / width - 0.5)[None]
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    u = (cosine * y - sine * x) * np.float32(cells[0])
    v = (sine * y + cosine * x) * np.float32(cells[1])
    row, column = np.floor(u), np.floor(v)
    u, v = u - row, v - column
    # A turned lattice reaches √2 further: no corner of it is met twice.
    count = 2 * max(cells) + 2
    direction = generator.random((count, count), "float32") * np.float32(2 * math.pi)
    down, across = np.cos(direction), np.sin(direction)
    row, column = row.astype(int), column.astype(int)

    def corner(i, j):
        place = (row + i) % count, (column + j) % count
        return down[place] * (u - i) + across[place] * (v - j)

    fade_u = u * u * u * (u * (u * 6 - 15) + 10)
    fade_v = v * v * v * (v * (v * 6 - 15) + 10)
    upper = corner(0, 0) + fade_v * (corner(0, 1) - corner(0, 0))
    lower = corner(1, 0) + fade_v * (corner(1, 1) - corner(1, 0))
    return (upper + fade_u * (lower - upper)) * np.float32(math.sqrt(2.0))


def perlin_mask(size, generator):
    """Returns where an anomaly is: a bool array (height, width), True where noise > ½.

    The lattice has 1 to 32 cells a side, a power of two, another one down than across,
    and is turned by up to a quarter turn either way. Source: the DRAEM paper, section
    3, and its published implementation.

    Args:
        size: (height, width).
        generator: `numpy.random.Generator`.
    """
    cells = 2 ** generator.integers(0, 6, 2)
    angle = generator.uniform(-0.5, 0.5) * math.pi
    return perlin_noise(size, tuple(map(int, cells)), generator, angle) > 0.5
