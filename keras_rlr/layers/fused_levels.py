import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.layers.neighborhood import known_grid

_FINER = ("average", "bilinear", "nearest", "space_to_depth")
_COARSER = ("bilinear", "nearest")


@functools.lru_cache(maxsize=64)
def resampling_matrix(source: int, target: int, how: str) -> np.ndarray:
    """Matrix (target, source) that resamples a line of `source` values.

    "average" takes the mean of the values that a target covers, as PyTorch's adaptive
    average pooling; "bilinear" interpolates between centres, the border repeated, as
    PyTorch's `interpolate(align_corners=False)`; "nearest" takes the value at
    floor(i * source / target).
    """
    matrix = np.zeros((target, source))
    for i in range(target):
        if how == "average":
            covered = slice(i * source // target, -(-(i + 1) * source // target))
            matrix[i, covered] = 1.0
            matrix[i] /= matrix[i].sum()
        elif how == "nearest":
            matrix[i, i * source // target] = 1.0
        else:
            position = max((i + 0.5) * source / target - 0.5, 0.0)
            low = min(int(position), source - 1)
            high = min(low + 1, source - 1)
            matrix[i, low] += 1.0 - (position - low)
            matrix[i, high] += position - low
    return matrix.astype("float32")


@keras.saving.register_keras_serializable(package="keras_rlr")
class FusedLevels(keras.layers.Layer):
    """Brings feature maps of several levels to one grid, one behind the other.

    Args:
        grid: (height, width) of the result, or "finest" or "coarsest": that of the
            level with most or fewest tokens.
        finer: What is done to levels finer than the grid: "average", "bilinear",
            "nearest", or "space_to_depth", which keeps every value: the tokens that
            fall into one are put behind each other.
        coarser: What is done to levels coarser than the grid: "bilinear" or "nearest".

    Call arguments:
        levels: List of tensors (batch, H, W, C), of any grids.

    Returns:
        Tensor (batch, height, width, channels); the channels are those of all levels,
        times the number of tokens that fall into one with "space_to_depth".

    Raises:
        ValueError: If an option is unknown, or "space_to_depth" is to divide a grid
            unevenly.

    Example:

    >>> levels = [np.ones((2, 32, 32, 48)), np.ones((2, 16, 16, 120))]
    >>> keras_rlr.layers.FusedLevels("finest")(levels).shape
    (2, 32, 32, 168)
    >>> keras_rlr.layers.FusedLevels("coarsest", finer="space_to_depth")(levels).shape
    (2, 16, 16, 312)
    """

    def __init__(
        self,
        grid: str | tuple[int, int] = "finest",
        finer: str = "average",
        coarser: str = "bilinear",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(grid, str) and grid not in ("finest", "coarsest"):
            raise ValueError(
                "`grid` must be 'finest', 'coarsest' or (height, width). Received: "
                f"{grid!r}."
            )
        _check("finer", finer, _FINER)
        _check("coarser", coarser, _COARSER)
        self.grid = grid if isinstance(grid, str) else tuple(int(n) for n in grid)
        self.finer = finer
        self.coarser = coarser

    def build(self, levels_shape: Any) -> None:
        """Has no weights; refuses grids that don't divide."""
        self.compute_output_shape(levels_shape)
        self.built = True

    def target(self, shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """Returns (height, width) of the result.

        Args:
            shapes: (height, width, channels) of each level.
        """
        if not isinstance(self.grid, str):
            return self.grid
        pick = max if self.grid == "finest" else min
        height, width = pick(shapes, key=lambda shape: shape[0] * shape[1])[:2]
        return height, width

    def call(self, levels: Any) -> Any:
        """Returns the levels in one grid."""
        target = self.target([level.shape[1:] for level in levels])
        # The matrices that resample are of fractions.
        levels = [ops.cast(level, self.compute_dtype) for level in levels]
        return ops.concatenate([self._fit(level, target) for level in levels], axis=-1)

    def _fit(self, level, target):
        height, width, channels = level.shape[1:]
        if (height, width) == target:
            return level
        is_finer = height * width > target[0] * target[1]
        how = self.finer if is_finer else self.coarser
        if how == "space_to_depth":
            rows, columns = height // target[0], width // target[1]
            parts = [
                level[:, i::rows, j::columns]
                for i in range(rows)
                for j in range(columns)
            ]
            return ops.concatenate(parts, axis=-1)
        rows = self._matrix(height, target[0], how, level.dtype)
        columns = self._matrix(width, target[1], how, level.dtype)
        level = ops.matmul(rows, ops.reshape(level, (-1, height, width * channels)))
        level = ops.matmul(columns, ops.reshape(level, (-1, width, channels)))
        return ops.reshape(level, (-1, *target, channels))

    def _matrix(self, source, target, how, dtype):
        return ops.cast(
            ops.convert_to_tensor(resampling_matrix(source, target, how)), dtype
        )

    def split(self, tokens: Any, shapes: Sequence[Sequence[int]]) -> list[Any]:
        """Returns the channels of each level, still in one grid.

        Args:
            tokens: Tensor (batch, height, width, channels), what a call returned.
            shapes: (height, width, channels) of each level that it was called on.
        """
        target = self.target(shapes)
        parts, start = [], 0
        for shape in shapes:
            end = start + self._factor(shape, target) * shape[2]
            parts.append(tokens[..., start:end])
            start = end
        return parts

    def unfused(self, tokens: Any, shapes: Sequence[Sequence[int]]) -> list[Any]:
        """Returns the levels in their own grids, of a layer with "space_to_depth".

        Args:
            tokens: Tensor (batch, height, width, channels), what a call returned.
            shapes: (height, width, channels) of each level that it was called on.
        """
        height, width = self.target(shapes)
        levels = []
        for part, shape in zip(self.split(tokens, shapes), shapes, strict=True):
            rows, columns = shape[0] // height, shape[1] // width
            if rows * columns > 1:
                part = ops.reshape(part, (-1, height, width, rows, columns, shape[2]))
                part = ops.transpose(part, (0, 1, 3, 2, 4, 5))
                part = ops.reshape(part, (-1, *shape))
            levels.append(part)
        return levels

    def _factor(self, shape, target):
        """How many tokens of a level are put behind each other."""
        height, width = shape[:2]
        if self.finer != "space_to_depth" or height * width <= target[0] * target[1]:
            return 1
        if height % target[0] or width % target[1]:
            raise ValueError(
                "Tokens that fall into one can be put behind each other only where "
                "the coarse grid divides the fine one evenly. Received a level of "
                f"{height}x{width} tokens for a grid of {target[0]}x{target[1]}. "
                "Choose another `image_size`."
            )
        return height // target[0] * (width // target[1])

    def compute_output_shape(self, levels_shape: Any) -> Any:
        """Returns (batch, height, width, channels)."""
        shapes = [known_grid(shape) for shape in levels_shape]
        target = self.target(shapes)
        channels = sum(self._factor(shape, target) * shape[2] for shape in shapes)
        return (levels_shape[0][0], *target, channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "grid": self.grid,
            "finer": self.finer,
            "coarser": self.coarser,
        }


def _check(name, value, allowed):
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))}. Received: "
            f"{value!r}."
        )
