"""Where a token is: learned positions for any grid, and rotary ones, in NumPy.

Keras' bicubic resize differs between backends; done here once, all have the same.
"""

import math

import numpy as np


def bicubic_matrix(source: int, target: int, antialias: bool) -> np.ndarray:
    """Returns the matrix (target, source) that resamples a line of values.

    It is what `torch.nn.functional.interpolate` does in the mode "bicubic" with
    `align_corners=False`: the networks were trained and published with it.

    Args:
        source: number of values.
        target: number of values of the result.
        antialias: whether the kernel widens where the line becomes shorter.
    """
    matrix = np.zeros((target, source))
    scale = source / target
    for i in range(target):
        centre = (i + 0.5) * scale
        if antialias:
            width = max(scale, 1.0)
            low = max(int(centre - 2 * width + 0.5), 0)
            high = min(int(centre + 2 * width + 0.5), source)
            places = np.arange(low, high)
            # PyTorch has Pillow's kernel here, and the other one below.
            weights = _cubic((places + 0.5 - centre) / width, -0.5)
            matrix[i, low:high] = weights / weights.sum()
        else:
            first = math.floor(centre - 0.5)
            places = np.arange(first - 1, first + 3)
            weights = _cubic(places + 0.5 - centre, -0.75)
            np.add.at(matrix[i], places.clip(0, source - 1), weights)
    return matrix


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def resized_positions(
    positions: np.ndarray, grid: tuple[int, int], antialias: bool
) -> np.ndarray:
    """Returns learned positions for another grid.

    Args:
        positions: array (side · side, channels), row by row.
        grid: (height, width) of the grid that they are wanted for.
        antialias: see `bicubic_matrix`.

    Returns:
        float32 array (height · width, channels).
    """
    side = math.isqrt(len(positions))
    if grid == (side, side):
        return np.asarray(positions, "float32")
    rows, columns = (bicubic_matrix(side, target, antialias) for target in grid)
    square = np.asarray(positions, "float64").reshape(side, side, -1)
    resized = np.einsum("hi,wj,ijc->hwc", rows, columns, square, optimize=True)
    return resized.reshape(-1, square.shape[-1]).astype("float32")


def rotary_table(
    grid: tuple[int, int], head_dim: int, theta: float, num_prefix: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns cosine and sine by which queries and keys are turned, as in DINOv3.

    Args:
        grid: (height, width) of the token grid.
        head_dim: channels of a head.
        theta: base period.
        num_prefix: tokens in front of the grid's, which are not turned.

    Returns:
        Two float32 arrays (num_prefix + height · width, head_dim).
    """
    frequencies = theta ** -np.arange(0, 1, 4 / head_dim)
    rows, columns = (2 * (np.arange(side) + 0.5) / side - 1 for side in grid)
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    angles = 2 * np.pi * places.reshape(-1, 2, 1) * frequencies
    angles = np.tile(angles.reshape(len(angles), -1), 2)
    angles = np.pad(angles, ((num_prefix, 0), (0, 0)))
    return np.cos(angles).astype("float32"), np.sin(angles).astype("float32")
