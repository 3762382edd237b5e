"""A few rows that cover all rows of a matrix: greedy k-centre selection."""

import numpy as np

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
