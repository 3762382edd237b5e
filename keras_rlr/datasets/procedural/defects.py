"""Defects of a surface: scratch, hole, stain, contamination.

Each takes a product and returns its colours with the defect. Their brightness stays
within that of the products, so that a threshold on brightness doesn't find them.
"""

import numpy as np

from keras_rlr.datasets.procedural.canvas import Canvas, blob, curve, mix
from keras_rlr.datasets.procedural.product import Product

_DIRT = ((0.15, 0.30, 0.62), (0.62, 0.16, 0.12), (0.20, 0.45, 0.18), (0.85, 0.85, 0.8))


def scratch(canvas: Canvas, product: Product, generator) -> np.ndarray:
    """A bent groove with a bright and a dark flank."""
    x, y = _pick_place(canvas, product, generator)
    points = _bent_line(generator, x, y, generator.uniform(70.0, 120.0))
    distance, place = curve(canvas, points)
    width = generator.uniform(2.6, 3.8) * (1.0 - 0.5 * np.abs(2.0 * place - 1.0) ** 3)
    below, _ = curve(canvas.moved(1.5, 2.5), points)
    dark = 0.75 * canvas.coverage(below - width) * product.surface
    colour = mix(product.colour, (0.12, 0.11, 0.10), dark)
    bright = 0.9 * canvas.coverage(distance - width) * product.surface
    return mix(colour, (0.88, 0.87, 0.84), bright)


def hole(canvas: Canvas, product: Product, generator) -> np.ndarray:
    """A hole with a ragged, lighter rim; dark inside."""
    at = canvas.moved(*_pick_place(canvas, product, generator))
    shape = blob(at, generator, generator.uniform(13.0, 20.0), 0.5)
    rim = canvas.coverage(np.abs(shape) - 2.0, 2.0) * product.surface
    colour = mix(product.colour, product.colour * 0.5 + 0.42, rim)
    inside = canvas.coverage(shape, 3.0) * product.surface
    depth = 0.05 + 0.05 * np.clip((at.x + at.y) / 20.0, -1.0, 1.0)
    return mix(colour, depth[..., None] * np.ones(3), inside)


def stain(canvas: Canvas, product: Product, generator) -> np.ndarray:
    """Something that soaked in: tinted, darker at the edge."""
    at = canvas.moved(*_pick_place(canvas, product, generator))
    shape = blob(at, generator, generator.uniform(18.0, 28.0), 0.45)
    tints = np.array([(0.62, 0.40, 0.18), (0.45, 0.20, 0.22), (0.24, 0.30, 0.22)])
    tint = tints[generator.integers(len(tints))]
    edge = np.exp(-(((shape + 3.0) / 3.0) ** 2))
    strength = (0.75 + 0.2 * edge) * canvas.coverage(shape, 4.0) * product.surface
    soaked = tint * (0.35 + 0.65 * product.colour.mean(axis=-1, keepdims=True))
    return mix(product.colour, soaked, strength)


def contamination(canvas: Canvas, product: Product, generator) -> np.ndarray:
    """Foreign matter on top: a thread, or crumbs."""
    x, y = _pick_place(canvas, product, generator)
    dirt = np.array(_DIRT[generator.integers(len(_DIRT))])
    if generator.random() < 0.5:
        points = _bent_line(generator, x, y, generator.uniform(60.0, 100.0), bend=0.5)
        distance, _ = curve(canvas, points)
        shape = distance - 2.6
    else:
        shape = np.full(canvas.x.shape, np.inf)
        for _ in range(generator.integers(4, 8)):
            at = canvas.moved(*(np.array([x, y]) + generator.normal(0.0, 11.0, 2)))
            crumb = blob(at, generator, generator.uniform(4.0, 8.0), 0.6)
            shape = np.minimum(shape, crumb)
    colour = product.colour * (1.0 - 0.4 * canvas.coverage(shape - 1.5, 3.0))[..., None]
    light = 0.85 + 0.3 * np.clip(-shape / 4.0, 0.0, 1.0)
    return mix(colour, dirt * light[..., None], canvas.coverage(shape))


def _pick_place(canvas: Canvas, product: Product, generator) -> tuple[float, float]:
    """A point of the product that is away from the picture's border."""
    inner = (np.abs(canvas.x) < 92.0) & (np.abs(canvas.y) < 92.0)
    candidates = np.flatnonzero(inner & (product.surface > 0.5))
    chosen = generator.choice(candidates)
    return canvas.x.flat[chosen], canvas.y.flat[chosen]


def _bent_line(generator, x, y, length, bend=0.2) -> np.ndarray:
    """Points (n, 2) of a bow of about this length with its middle at (x, y)."""
    angle = generator.uniform(0.0, 2 * np.pi)
    at = np.linspace(-0.5, 0.5, 13)
    bow = bend * generator.uniform(-1.0, 1.0) * (1.0 - 4.0 * at * at)
    bow += 0.15 * bend * np.sin(at * generator.uniform(6.0, 12.0))
    along, across = length * at, length * bow
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x + cos * along - sin * across, y + sin * along + cos * across], 1)
