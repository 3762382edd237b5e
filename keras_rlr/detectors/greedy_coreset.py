"""A few patches that stand for all: greedy k-centre selection of a fair draw."""

import math
import warnings

import numpy as np

from keras_rlr.checked_numbers import finite_number, whole_number
from keras_rlr.layers.initializers import derive_seed

_STARTING_POINTS = 10
_PROJECTED_CHANNELS = 128
# Of the projected rows, turned so that the first channels vary most: those that are
# always compared.
_FIRST_CHANNELS = 32


def greedy_coreset(rows, count, seed=0):
    """Returns positions of rows of which every row is near one, and their distances.

    The row that is farthest from all that were chosen is chosen next, in a random
    projection to 128 dimensions; the first, by the mean distance to ten rows drawn at
    random. Source: the published implementation of PatchCore (its "approximate greedy
    coreset"), which takes that mean for a distance all along. A row whose distance is
    too large by its first channels alone is not looked at further; the choice is the
    same.

    Args:
        rows: float32 array (rows, channels).
        count: Number of positions, at most that of the rows.
        seed: Seed of the projection and of the starting points.

    Returns:
        int array (count,) in the order of the choice; float32 array (rows,), the
        distance of each row to the nearest chosen one, in the projection.

    Example:

    >>> from keras_rlr.detectors.greedy_coreset import greedy_coreset
    >>> rows = np.array([[0.0], [0.1], [5.0], [9.0]], "float32")
    >>> sorted(greedy_coreset(rows, 3)[0].tolist())
    [0, 2, 3]
    """
    generator = np.random.Generator(np.random.Philox(seed))
    rows = _most_varying_first(project(rows, generator))
    first = np.ascontiguousarray(rows[:, :_FIRST_CHANNELS])
    rest = np.ascontiguousarray(rows[:, _FIRST_CHANNELS:])
    del rows
    first_lengths = np.einsum("ij,ij->i", first, first)
    rest_lengths = np.einsum("ij,ij->i", rest, rest)
    drawn = generator.choice(
        len(first), min(_STARTING_POINTS, len(first)), replace=False
    )
    mean = np.zeros(len(first), "float32")
    for i in drawn:
        squares = _squares(first, first_lengths, first[i])
        mean += np.sqrt(squares + _squares(rest, rest_lengths, rest[i]))
    # Squares of distances from here on: a root of each would cost as much again.
    nearest = np.full(len(first), np.inf, "float32")
    chosen = np.empty(count, "int64")
    for i in range(count):
        chosen[i] = new = np.argmax(nearest if i else mean)
        squares = _squares(first, first_lengths, first[new])
        near = np.flatnonzero(squares < nearest)
        squares = squares[near] + _squares(rest[near], rest_lengths[near], rest[new])
        nearest[near] = np.minimum(nearest[near], squares)
        nearest[new] = -1.0  # Never again, even if all others equal one chosen.
    return chosen, np.sqrt(np.maximum(nearest, 0.0))


def _most_varying_first(rows):
    """The rows, turned by eigenvectors of a covariance, which no distance notices."""
    some = rows[:: max(1, len(rows) // 10_000)].astype("float64")
    some -= some.mean(axis=0)
    _, vectors = np.linalg.eigh(some.T @ some)
    return rows @ vectors[:, ::-1].astype("float32")


def project(rows, generator):
    """Returns rows of at most 128 channels whose distances are about the same.

    Args:
        rows: float32 array (rows, channels).
        generator: NumPy's generator.
    """
    channels = rows.shape[1]
    if channels <= _PROJECTED_CHANNELS:
        return np.ascontiguousarray(rows, "float32")
    matrix = generator.standard_normal((channels, _PROJECTED_CHANNELS), "float32")
    return rows @ (matrix / np.float32(np.sqrt(_PROJECTED_CHANNELS)))


def _squares(rows, lengths, row):
    """Squared distances of rows, of known squared lengths, to one."""
    squares = lengths + np.dot(row, row) - 2.0 * (rows @ row)
    return np.maximum(squares, 0.0, out=squares)


class PatchSelection:
    """Gathers the patches of normal images and selects a few that cover all others.

    Args:
        ratio: Share of the patches that is selected, above 0 and at most 1.
        most: From how many patches at most it selects; of more, a fair draw is kept.
        seed: Seed of the draw and of the selection.

    Raises:
        ValueError: If `ratio` or `most` is not possible.
    """

    def __init__(self, ratio, most, seed):
        self.ratio, self.most = check_coreset(ratio, most)
        self.seed = seed
        self.seen = 0
        self._generator = np.random.Generator(
            np.random.Philox(derive_seed(seed, "patches"))
        )
        self._rows, self._priorities = [], []

    def add(self, patches):
        """Takes in the patches of some images.

        Args:
            patches: float32 array (patches, channels).
        """
        self.seen += len(patches)
        self._rows.append(patches)
        # The rows of the highest of random numbers are a fair draw from all.
        self._priorities.append(self._generator.random(len(patches)))
        if sum(map(len, self._rows)) > 1.5 * self.most:
            self._rows = [self._drawn()]

    def select(self):
        """Selects, with a warning if there were more patches than it selects from.

        Returns:
            float32 array (selected, channels), and the mean distance of a patch to the
            nearest selected one, a float, in the projection of `greedy_coreset`.
        """
        patches = self._drawn()
        if self.seen > len(patches):
            warnings.warn(
                f"The images have {self.seen} patches, more than `max_patches`: "
                f"{len(patches)} of them were drawn at random, and the memory bank "
                "holds its share of those. Raise `max_patches` to choose from more, "
                "which takes longer.",
                stacklevel=2,
            )
        chosen, distances = greedy_coreset(
            patches,
            math.ceil(self.ratio * len(patches)),
            derive_seed(self.seed, "coreset"),
        )
        return patches[chosen], float(distances.mean())

    def _drawn(self):
        rows = np.concatenate(self._rows)
        priorities = np.concatenate(self._priorities)
        if len(rows) > self.most:
            kept = np.argpartition(-priorities, self.most)[: self.most]
            kept.sort()
            rows, priorities = rows[kept], priorities[kept]
        self._priorities = [priorities]
        return rows


def check_coreset(ratio, most):
    """Returns `coreset_ratio` as a float and `max_patches` as an int.

    Args:
        ratio: Share of the patches.
        most: Largest number of patches to select from.

    Raises:
        ValueError: If one is not possible.
    """
    return (
        finite_number("coreset_ratio", ratio, 0, 1, with_least=False),
        whole_number("max_patches", most, 1),
    )
