from typing import Any


class Region(dict[str, Any]):
    """A connected region of an anomaly map; all in pixels of the map.

    It is a dict, which `json.dumps` takes as it is; its entries are attributes too.

    Args:
        box: Tuple of ints (x, y, width, height), tight around the region.
        polygon: List of ints x, y, x, y …, the corners of its outer boundary along the
            edges of pixels, clockwise: a pixel (row, column) is the square from
            (column, row) to (column + 1, row + 1). It encloses holes too, and touches
            itself where pixels meet at a corner alone.
        area: Number of its pixels, without those of holes.
        hole_area: Number of pixels in its holes: the polygon's area is both together.
        score: The largest value of the map in it.

    Example:

    >>> region = keras_rlr.regions(np.eye(2), 0.5)[0]
    >>> region.box, region["area"]
    ((0, 0, 2, 2), 2)
    """

    def __init__(
        self,
        box: tuple[int, int, int, int],
        polygon: list[int],
        area: int,
        hole_area: int,
        score: float,
    ) -> None:
        super().__init__(
            box=box, polygon=polygon, area=area, hole_area=hole_area, score=score
        )

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x, y, width, height)."""
        return self["box"]

    @property
    def polygon(self) -> list[int]:
        """Its outer boundary, a flat list of x and y."""
        return self["polygon"]

    @property
    def area(self) -> int:
        """Number of its pixels."""
        return self["area"]

    @property
    def hole_area(self) -> int:
        """Number of pixels in its holes."""
        return self["hole_area"]

    @property
    def score(self) -> float:
        """The largest value of the map in it."""
        return self["score"]
