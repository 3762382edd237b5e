"""What the painters draw with: coordinates, signed distances, smooth noise.

Lengths are in units of 1/256 of the shorter side, so that a product looks the same
at any size. A signed distance is negative inside its shape.
"""

from dataclasses import dataclass

import numpy as np

UNITS = 256.0


@dataclass(frozen=True)
class Canvas:
    """The grid of pixel centres that a product is painted on.

    Args:
        x: array (height, width), to the right, 0 at the centre.
        y: array (height, width), downward, 0 at the centre.
        pixel: the side of a pixel.
    """

    x: np.ndarray
    y: np.ndarray
    pixel: float

    @classmethod
    def of_size(cls, height: int, width: int) -> "Canvas":
        """The canvas of a picture of so many pixels."""
        pixel = UNITS / min(height, width)
        y = (np.arange(height) + 0.5 - height / 2) * pixel
        x = (np.arange(width) + 0.5 - width / 2) * pixel
        x, y = np.meshgrid(x, y)
        return cls(x, y, pixel)

    def moved(self, x: float, y: float, angle: float = 0.0) -> "Canvas":
        """The coordinates as seen from (x, y), turned by `angle`."""
        cos, sin = np.cos(angle), np.sin(angle)
        dx, dy = self.x - x, self.y - y
        return Canvas(cos * dx + sin * dy, cos * dy - sin * dx, self.pixel)

    def window(self, reach: float) -> tuple[slice, slice]:
        """The rows and columns of a square around the origin, to paint there only."""
        near = np.maximum(np.abs(self.x), np.abs(self.y)) < reach
        rows = np.flatnonzero(near.any(axis=1))
        columns = np.flatnonzero(near.any(axis=0))
        if not rows.size:
            return slice(0, 0), slice(0, 0)
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def cropped(self, window: tuple[slice, slice]) -> "Canvas":
        """The part of the canvas in a window."""
        return Canvas(self.x[window], self.y[window], self.pixel)

    def coverage(self, distance: np.ndarray, softness: float = 0.0) -> np.ndarray:
        """The part of each pixel inside a shape, for smooth edges."""
        return np.clip(0.5 - distance / (self.pixel + softness), 0.0, 1.0)

    def smooth_noise(
        self, generator: np.random.Generator, length: float, stretch: float = 1.0
    ) -> np.ndarray:
        """Noise in about -1 to 1 that changes over `length` (x: `length * stretch`)."""
        top, down = _knots(self.y[:, 0], length)
        left, right = _knots(self.x[0], length * stretch)
        knots = generator.uniform(-1.0, 1.0, (top[-1] + 2, left[-1] + 2))
        rows = knots[top] + (knots[top + 1] - knots[top]) * down[:, None]
        return rows[:, left] + (rows[:, left + 1] - rows[:, left]) * right


def mix(colour, other, coverage) -> np.ndarray:
    """`colour` with `other` over it where `coverage` is 1."""
    coverage = np.asarray(coverage)[..., None]
    return colour + (np.asarray(other) - colour) * coverage


def disc(canvas: Canvas, radius: float) -> np.ndarray:
    """Signed distance of a disc around the origin."""
    return np.hypot(canvas.x, canvas.y) - radius


def box(canvas: Canvas, width: float, height: float, corner: float = 0.0) -> np.ndarray:
    """Signed distance of a rectangle around the origin with rounded corners."""
    dx = np.abs(canvas.x) - width / 2 + corner
    dy = np.abs(canvas.y) - height / 2 + corner
    outside = np.hypot(np.maximum(dx, 0.0), np.maximum(dy, 0.0))
    return outside + np.minimum(np.maximum(dx, dy), 0.0) - corner


def blob(
    canvas: Canvas, generator: np.random.Generator, radius: float, roughness: float
) -> np.ndarray:
    """Signed distance (nearly) of an irregular disc around the origin."""
    angle = np.arctan2(canvas.y, canvas.x)
    outline = np.ones_like(angle)
    for waves in range(2, 7):
        height = generator.uniform(0.0, roughness) / waves
        outline += height * np.cos(waves * angle + generator.uniform(0.0, 2 * np.pi))
    return np.hypot(canvas.x, canvas.y) - radius * outline


def curve(canvas: Canvas, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to a line through points (n, 2), and the place along it from 0 to 1."""
    nearest = np.full(canvas.x.shape, np.inf)
    place = np.zeros(canvas.x.shape)
    last = len(points) - 1
    for i in range(last):
        (x, y), (dx, dy) = points[i], points[i + 1] - points[i]
        along = ((canvas.x - x) * dx + (canvas.y - y) * dy) / (dx * dx + dy * dy)
        along = np.clip(along, 0.0, 1.0)
        distance = np.hypot(canvas.x - x - along * dx, canvas.y - y - along * dy)
        closer = distance < nearest
        nearest = np.where(closer, distance, nearest)
        place = np.where(closer, (i + along) / last, place)
    return nearest, place


def _knots(positions: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """The knot before each position, and the smooth way to the next, 0 to 1."""
    at = (positions - positions[0]) / length
    before = np.floor(at).astype(int)
    way = at - before
    return before, way * way * (3.0 - 2.0 * way)
