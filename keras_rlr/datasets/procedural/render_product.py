"""Photographs of procedural products, with and without a defect."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_rlr.datasets.procedural import defects
from keras_rlr.datasets.procedural.canvas import Canvas
from keras_rlr.datasets.procedural.circuit import paint_circuit
from keras_rlr.datasets.procedural.objects import paint_capsule, paint_gear
from keras_rlr.datasets.procedural.product import Product
from keras_rlr.datasets.procedural.textures import (
    paint_fabric,
    paint_tiles,
    paint_wood,
)

_SURFACE_DEFECTS = {
    "contamination": defects.contamination,
    "hole": defects.hole,
    "scratch": defects.scratch,
    "stain": defects.stain,
}
# The least change of a level, of 255, that counts as part of a defect.
_VISIBLE = 12


class Kind(NamedTuple):
    """A category: how it is painted, its usual size, and what can be wrong."""

    paint: Callable[..., Product]
    size: tuple[int, int]
    defects: tuple[str, ...]


KINDS = {
    "capsule": Kind(
        paint_capsule,
        (240, 320),
        ("hole", "misplaced_part", "missing_part", "scratch"),
    ),
    "circuit": Kind(
        paint_circuit,
        (256, 256),
        ("contamination", "misplaced_part", "missing_part", "scratch"),
    ),
    "fabric": Kind(
        paint_fabric, (256, 256), ("contamination", "hole", "scratch", "stain")
    ),
    "gear": Kind(
        paint_gear, (256, 256), ("contamination", "missing_part", "scratch", "stain")
    ),
    "tiles": Kind(
        paint_tiles,
        (256, 256),
        ("hole", "misplaced_part", "missing_part", "stain"),
    ),
    "wood": Kind(paint_wood, (320, 288), ("contamination", "hole", "scratch", "stain")),
}
PROCEDURAL_CATEGORIES = tuple(sorted(KINDS))


def render_product(
    category: str,
    seed: tuple[int, ...],
    defect: str | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Renders one photograph.

    With the same seed, the product, light and noise are the same with and without a
    defect: outside the mask the two photographs are equal, and inside it they differ
    by at least 12 of 255 levels in some channel.

    Args:
        category: one of `PROCEDURAL_CATEGORIES`.
        seed: integers that decide everything.
        defect: one of `KINDS[category].defects`; None for a normal product.
        size: height and width; None for the category's own.

    Returns:
        The photograph, uint8 (height, width, 3), and the mask, bool (height, width),
        True where the defect shows.
    """
    kind = KINDS[category]
    canvas = Canvas.of_size(*(size or kind.size))
    normal = kind.paint(canvas, _generator(seed, "product"))
    photograph = _photograph(canvas, normal.colour, _generator(seed, "camera"))
    if defect is None:
        return photograph, np.zeros(photograph.shape[:2], bool)
    generator = _generator(seed, "defect")
    if defect in _SURFACE_DEFECTS:
        colour = _SURFACE_DEFECTS[defect](canvas, normal, generator)
    else:
        faulty = kind.paint(canvas, _generator(seed, "product"), defect, generator)
        colour = faulty.colour
    defective = _photograph(canvas, colour, _generator(seed, "camera"))
    change = np.abs(defective.astype(int) - photograph).max(axis=-1)
    mask = change >= _VISIBLE
    return np.where(mask[..., None], defective, photograph), mask


def _generator(seed: tuple[int, ...], purpose: str) -> np.random.Generator:
    number = ("product", "camera", "defect").index(purpose)
    sequence = np.random.SeedSequence([*seed, number])
    return np.random.Generator(np.random.Philox(sequence))


def _photograph(canvas: Canvas, colour, generator) -> np.ndarray:
    """Light from one side, an exposure, a white balance and a sensor's noise."""
    angle = generator.uniform(0.0, 2 * np.pi)
    slope = generator.uniform(0.0, 0.22)
    exposure = generator.uniform(0.72, 1.12)
    balance = generator.uniform(0.95, 1.05, 3)
    light = canvas.x * np.cos(angle) + canvas.y * np.sin(angle)
    light = exposure * (1.0 + slope * light / 128.0)
    noise = generator.normal(0.0, 2.0, colour.shape)
    levels = 255.0 * colour * light[..., None] * balance + noise
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
