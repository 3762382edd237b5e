"""Products that lie on a ground: a gear and a capsule."""

import numpy as np

from keras_rlr.datasets.procedural.canvas import Canvas, box, disc, mix
from keras_rlr.datasets.procedural.product import Product

_TEETH = 14


def paint_gear(canvas: Canvas, generator, fault=None, fault_generator=None) -> Product:
    """A turned steel gear in any rotation, with a bore and five holes."""
    ground = _paint_ground(canvas, generator, (0.20, 0.23, 0.27))
    x, y = generator.uniform(-9.0, 9.0, 2)
    gear = canvas.moved(x, y, generator.uniform(0.0, 2 * np.pi))
    radius = np.hypot(gear.x, gear.y)
    angle = np.arctan2(gear.y, gear.x)
    tooth = np.floor((angle / (2 * np.pi) + 1.0) * _TEETH + 0.5).astype(int) % _TEETH
    # Teeth are trapezoids: the tangent coordinate against half the width there.
    offset = (angle / (2 * np.pi) + 1.0) * _TEETH + 0.5
    tangent = radius * np.abs(offset - np.floor(offset) - 0.5) * 2 * np.pi / _TEETH
    flank = tangent - (12.5 - 0.42 * (radius - 78.0))
    teeth = np.maximum(np.maximum(flank * 0.92, radius - 100.0), 60.0 - radius)
    if fault == "missing_part":
        first = fault_generator.integers(_TEETH)
        gone = (tooth - first) % _TEETH < fault_generator.integers(1, 3)
        teeth = np.where(gone, 1e3, teeth)
    body = np.minimum(teeth, radius - 78.0)
    holes = radius - 20.0
    holes = np.minimum(holes, box(gear.moved(0.0, -20.0), 11.0, 16.0))
    for i in range(5):
        at = 2 * np.pi * i / 5 + 0.3
        holes = np.minimum(
            holes, disc(gear.moved(47.0 * np.cos(at), 47.0 * np.sin(at)), 11.0)
        )
    shape = np.maximum(body, -holes)
    ground = _cast_shadow(canvas, ground, shape, (3.0, 4.0))
    # Turning leaves fine circles, which shine in two opposite sectors.
    shine = np.cos(2 * (np.arctan2(canvas.y, canvas.x) - generator.uniform(0, np.pi)))
    circles = np.sin(radius * 1.9 + 2.0 * canvas.smooth_noise(generator, 40.0))
    steel = 0.60 + 0.14 * shine + 0.03 * circles
    steel += 0.12 * np.exp(-((radius - 66.0) ** 2) / 3.0) - 0.08 * (radius < 66.0)
    steel = steel * np.clip(1.06 + shape * -0.004, 0.9, 1.1)
    tint = np.array([0.97, 0.99, 1.03]) + generator.uniform(-0.03, 0.03, 3)
    inside = canvas.coverage(shape)
    return Product(mix(ground, steel[..., None] * tint, inside), inside)


def paint_capsule(
    canvas: Canvas, generator, fault=None, fault_generator=None
) -> Product:
    """A capsule of two colours with a print, near the middle of a ground."""
    ground = _paint_ground(canvas, generator, (0.66, 0.66, 0.62))
    x, y = generator.uniform(-8.0, 8.0, 2)
    pill = canvas.moved(x, y, generator.uniform(-0.12, 0.12))
    cap_colour = np.array([0.70, 0.16, 0.14]) + generator.uniform(-0.06, 0.06, 3)
    body_colour = np.array([0.88, 0.80, 0.52]) + generator.uniform(-0.05, 0.05, 3)
    seam = generator.uniform(-3.0, 3.0)
    cap = pill
    if fault == "misplaced_part":
        side = fault_generator.choice([-1.0, 1.0])
        cap = pill.moved(
            fault_generator.uniform(8.0, 14.0),
            side * fault_generator.uniform(9.0, 15.0),
            side * fault_generator.uniform(0.16, 0.28),
        )
    body_shape = np.maximum(box(pill, 176.0, 66.0, 33.0), pill.x - seam - 20.0)
    cap_shape = np.maximum(box(cap, 180.0, 71.0, 35.5), seam - cap.x)
    if fault == "missing_part":
        cap_shape = np.full_like(cap_shape, 1e3)
    shape = np.minimum(body_shape, cap_shape)
    ground = _cast_shadow(canvas, ground, shape, (4.0, 6.0))
    colour = mix(ground, body_colour * _shine(pill, 33.0), canvas.coverage(body_shape))
    window = pill.moved(-36.0, 2.0).window(30.0)
    near = pill.cropped(window)
    letters = np.minimum(
        np.abs(disc(near.moved(-46.0, 2.0), 11.0)) - 2.5,
        box(near.moved(-20.0, 2.0), 5.0, 24.0),
    )
    letters = np.maximum(letters, body_shape[window])
    ink = 0.85 * canvas.coverage(letters)
    colour[window] = mix(colour[window], (0.22, 0.20, 0.20), ink)
    groove = 1.0 - 0.25 * np.exp(-((cap.x - seam - 9.0) ** 2) / 6.0)
    cap_colour = cap_colour * _shine(cap, 35.5) * groove[..., None]
    colour = mix(colour, cap_colour, canvas.coverage(cap_shape))
    return Product(colour, canvas.coverage(shape))


def _shine(pill: Canvas, radius: float) -> np.ndarray:
    """The light on a lying cylinder with a highlight along its upper side."""
    height = np.clip(pill.y / radius, -1.0, 1.0)
    diffuse = 0.62 + 0.42 * np.sqrt(1.0 - 0.92 * height * height) - 0.12 * height
    gloss = np.exp(-(((height + 0.45) / 0.13) ** 2)) * (np.abs(pill.x) < 70.0)
    return (diffuse + 0.30 * gloss)[..., None]


def _paint_ground(canvas: Canvas, generator, colour) -> np.ndarray:
    """A plain ground, a little cloudy."""
    tone = 1.0 + 0.05 * canvas.smooth_noise(generator, 50.0)
    tone += 0.03 * canvas.smooth_noise(generator, 3.0)
    colour = np.asarray(colour) * generator.uniform(0.85, 1.15)
    return tone[..., None] * (colour + generator.uniform(-0.02, 0.02, 3))


def _cast_shadow(canvas: Canvas, ground, shape, offset) -> np.ndarray:
    """The ground, darker where the shape keeps light off it."""
    rows, columns = (round(length / canvas.pixel) for length in offset[::-1])
    moved = np.roll(shape, (rows, columns), (0, 1))
    return ground * (1.0 - 0.45 * canvas.coverage(moved, 8.0))[..., None]
