from typing import Any

import numpy as np

# Directions in which an outline goes, clockwise; the region is on its right.
_EAST, _SOUTH, _WEST, _NORTH = range(4)


def outlines(labels: np.ndarray, count: int) -> list[tuple[list[int], int]]:
    """The outer boundaries of all regions of a map, along the edges of pixels.

    Regions of pixels that touch at edges or corners have no corner in common, so that
    the corners of all can be found at once.

    Args:
        labels: int array (height, width): the number of the region that a pixel is of,
            from 1 on, or 0. Pixels of different regions don't touch, not at corners
            either.
        count: Number of regions.

    Returns:
        For each region, in the order of the numbers, a list x, y, x, y … of its corners
        and the number of pixels within. The list is clockwise from the left end of the
        top row. Where two pixels touch at a corner alone it passes that corner twice.
    """
    around = _pixels_around(labels)
    rows, columns = np.nonzero(_IS_CORNER[around])
    around = around[rows, columns]
    index = np.arange(len(rows))
    # A corner's neighbours in its row are beside it; in its column, in this order.
    by_column = np.argsort(columns, kind="stable")
    below, above = np.empty_like(index), np.empty_like(index)
    below[by_column[:-1]] = by_column[1:]
    above[by_column[1:]] = by_column[:-1]
    # By the direction in which a corner is left, the next one; lists are quick to walk.
    following = [steps.tolist() for steps in (index + 1, below, index - 1, above)]
    kinds, xs, ys = around.tolist(), columns.tolist(), rows.tolist()
    # The first pixel of a region has no other around its first corner.
    begins = np.flatnonzero(around == _SOUTH_EAST)
    of_region = labels[rows[begins], columns[begins]]
    first = np.full(count + 1, len(rows))
    np.minimum.at(first, of_region, begins)
    return [_walk(start, following, kinds, xs, ys) for start in first[1:].tolist()]


def _walk(start: int, following: Any, kinds: Any, xs: Any, ys: Any) -> Any:
    outline: list[int] = []
    at, direction, area = start, _EAST, 0
    while True:
        x, y = xs[at], ys[at]
        outline += (x, y)
        at = following[direction][at]
        area -= (xs[at] - x) * y
        if at == start:
            return outline, area
        direction = _TURNS[kinds[at]][direction]


# The four pixels around a crossing of the grid, a bit for each that is of a region.
_NORTH_WEST, _NORTH_EAST, _SOUTH_WEST, _SOUTH_EAST = 1, 2, 4, 8


def _pixels_around(labels):
    inside = np.pad(labels > 0, 1).view("uint8")
    around = inside[:-1, :-1] * np.uint8(_NORTH_WEST)
    around |= inside[:-1, 1:] * np.uint8(_NORTH_EAST)
    around |= inside[1:, :-1] * np.uint8(_SOUTH_WEST)
    around |= inside[1:, 1:] * np.uint8(_SOUTH_EAST)
    return around


def _turns_at(around: int) -> list[int]:
    """By the direction in which an outline comes to a crossing, the one it goes on in.

    The region is on the right of it, and nothing on its left. Where there are two such
    ways, at two pixels that touch at a corner, it turns left, to the other pixel: it
    goes on around the same pixel that is of no region, and so never enters a hole.
    """
    leaves = {
        _EAST: around & _SOUTH_EAST and not around & _NORTH_EAST,
        _SOUTH: around & _SOUTH_WEST and not around & _SOUTH_EAST,
        _WEST: around & _NORTH_WEST and not around & _SOUTH_WEST,
        _NORTH: around & _NORTH_EAST and not around & _NORTH_WEST,
    }
    possible = [direction for direction, is_one in leaves.items() if is_one]
    if len(possible) == 1:
        return possible * 4
    return [(direction - 1) % 4 for direction in range(4)]


_TURNS = [_turns_at(around) for around in range(16)]
# No corner: none or all of the pixels, or the two on one side of a straight line.
_STRAIGHT = (0, 3, 5, 10, 12, 15)
_IS_CORNER = np.array([around not in _STRAIGHT for around in range(16)])
