"""A populated circuit board: a product made of many parts."""

import numpy as np

from keras_rlr.datasets.procedural.canvas import Canvas, box, curve, disc, mix
from keras_rlr.datasets.procedural.product import Product

# Kind, x, y and turn of each part, in the board's coordinates.
_PARTS = (
    ("chip", -38.0, -30.0, 0.0),
    ("capacitor", 52.0, -48.0, 0.0),
    ("capacitor", 52.0, -4.0, 0.0),
    ("resistor", -66.0, 34.0, 0.0),
    ("resistor", -66.0, 58.0, 0.0),
    ("resistor", -14.0, 34.0, 0.0),
    ("resistor", -14.0, 58.0, 0.0),
    ("crystal", 52.0, 50.0, 0.0),
)
_TRACES = (
    ((-66, -50), (-96, -50), (-96, 20), (-84, 34)),
    ((-66, -10), (-84, 0), (-84, 58)),
    ((-10, -50), (20, -72), (52, -72), (52, -60)),
    ((-10, -20), (30, -20), (52, -4)),
    ((-46, 34), (-32, 34)),
    ((-46, 58), (-32, 58)),
    ((6, 34), (20, 44), (34, 50)),
    ((6, 58), (20, 70), (70, 70)),
    ((52, 10), (84, 20), (84, 50), (70, 50)),
)
# A part and its pads are within this distance of its place, misplaced or not.
_REACH = 60.0
_BANDS = ((0.55, 0.12, 0.10), (0.90, 0.72, 0.15), (0.15, 0.20, 0.55), (0.12, 0.1, 0.1))


def paint_circuit(
    canvas: Canvas, generator, fault=None, fault_generator=None
) -> Product:
    """A green board with a chip, capacitors, resistors and a crystal."""
    colour = np.ones(canvas.x.shape)[..., None] * np.array([0.75, 0.74, 0.72])
    colour = colour * (1.0 + 0.04 * canvas.smooth_noise(generator, 30.0))[..., None]
    left, top = generator.uniform(-9.0, 9.0, 2)
    board = canvas.moved(left, top, generator.uniform(-0.05, 0.05))
    outline = box(board, 216.0, 196.0, 6.0)
    for x in (-98.0, 98.0):
        for y in (-88.0, 88.0):
            outline = np.maximum(outline, -disc(board.moved(x, y), 5.0))
    green = np.array([0.08, 0.34, 0.20]) + generator.uniform(-0.03, 0.03, 3)
    colour = mix(colour, green, canvas.coverage(outline))
    copper_colour = green + np.array([0.10, 0.16, 0.10])
    for trace in _TRACES:
        points = np.array(trace, float)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        window = board.moved(*middle).window(np.abs(points - middle).max() + 5.0)
        distance, _ = curve(board.cropped(window), points)
        copper = canvas.coverage(distance - 2.2)
        colour[window] = mix(colour[window], copper_colour, copper)
    faulty = None if fault is None else fault_generator.integers(len(_PARTS))
    for i, (kind, x, y, turn) in enumerate(_PARTS):
        jitter = generator.uniform(-1.5, 1.5, 2)
        turn = turn + generator.uniform(-0.04, 0.04)
        tone = generator.uniform(0.88, 1.12)
        bands = generator.integers(len(_BANDS), size=3)
        window = board.moved(x, y).window(_REACH)
        at = board.cropped(window)
        colour[window] = _paint_pads(at.moved(x, y), kind, colour[window])
        part = at.moved(x + jitter[0], y + jitter[1], turn)
        if i == faulty and fault == "missing_part":
            continue
        if i == faulty:
            sign = fault_generator.choice([-1.0, 1.0], 2)
            shift = sign * fault_generator.uniform(7.0, 12.0, 2)
            angle = sign[0] * fault_generator.uniform(0.35, 0.6)
            part = at.moved(x + shift[0], y + shift[1], turn + angle)
        colour[window] = _paint_part(part, kind, colour[window], tone, bands)
    return Product(colour, canvas.coverage(outline))


def _paint_pads(at: Canvas, kind: str, colour) -> np.ndarray:
    """The solder pads of a part, which are seen when it is gone."""
    if kind == "chip":
        places = [(s * 28.0, y) for s in (-1, 1) for y in range(-20, 21, 10)]
        width, height = 10.0, 5.0
    else:
        places, width, height = [(-20.0, 0), (20.0, 0)], 9.0, 9.0
    for x, y in places:
        pad = box(at.moved(x, y), width, height, 2.0)
        colour = mix(colour, (0.80, 0.80, 0.78), at.coverage(pad))
    return colour


def _paint_part(at: Canvas, kind: str, colour, tone, bands):
    """A part with its own little shadow."""
    if kind == "chip":
        for y in range(-20, 21, 10):
            pins = box(at.moved(0.0, y), 62.0, 3.5)
            colour = mix(colour, (0.72, 0.72, 0.72), at.coverage(pins))
        shape = box(at, 48.0, 56.0, 2.0)
        look = np.array([0.10, 0.10, 0.11]) * tone
        look = mix(look, (0.45, 0.45, 0.45), at.coverage(disc(at.moved(-16, -20), 3)))
        for below, width in ((-4.0, 30.0), (5.0, 22.0)):
            text = box(at.moved(0.0, below), width, 3.5)
            look = mix(look, (0.55, 0.55, 0.52), at.coverage(text))
    elif kind == "capacitor":
        shape = disc(at, 18.0)
        sleeve = np.array([0.14, 0.15, 0.32]) * tone
        look = mix(sleeve, (0.80, 0.81, 0.83), at.coverage(shape + 3.5))
        minus = np.maximum(box(at.moved(0.0, 13.0), 40.0, 8.0), shape)
        look = mix(look, (0.20, 0.20, 0.24), at.coverage(minus))
    elif kind == "resistor":
        wires = box(at, 42.0, 3.0)
        colour = mix(colour, (0.72, 0.72, 0.72), at.coverage(wires))
        shape = box(at, 29.0, 12.0, 4.0)
        light = 1.15 - 0.035 * np.abs(at.y + 1.5)
        look = np.array([0.80, 0.66, 0.46]) * (tone * light)[..., None]
        for i, band in enumerate(bands):
            stripe = box(at.moved(8.0 * i - 8.0, 0.0), 3.5, 12.0)
            look = mix(look, _BANDS[band], at.coverage(stripe))
    else:
        shape = box(at, 44.0, 17.0, 8.0)
        rim = np.clip(-shape / 4.0, 0.0, 1.0)
        look = np.array([0.66, 0.66, 0.64]) * (tone * (0.8 + 0.3 * rim))[..., None]
    shadow = at.coverage(shape - 2.0, 4.0)
    colour = colour * (1.0 - 0.4 * shadow)[..., None]
    return mix(colour, look, at.coverage(shape))
