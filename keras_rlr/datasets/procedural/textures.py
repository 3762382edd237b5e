"""Products that fill the picture: woven fabric, wood and ceramic tiles."""

import numpy as np

from keras_rlr.datasets.procedural.canvas import Canvas, box, mix
from keras_rlr.datasets.procedural.product import Product

_YARN = 9.0
_TILE = 62.0
_GROUT = 6.0


def paint_fabric(canvas: Canvas, generator) -> Product:
    """A checked plain weave whose checks begin anywhere."""
    x, y = generator.uniform(-100.0, 100.0, 2)
    turned = canvas.moved(x, y, generator.uniform(-0.06, 0.06))
    yarn = _YARN * generator.uniform(0.96, 1.04)
    u = turned.x / yarn + 0.25 * canvas.smooth_noise(generator, 60.0) + 100.0
    v = turned.y / yarn + 0.25 * canvas.smooth_noise(generator, 60.0) + 100.0
    warp, weft = np.floor(u).astype(int), np.floor(v).astype(int)
    dark = np.array([0.20, 0.24, 0.36]) + generator.uniform(-0.03, 0.03, 3)
    light = np.array([0.86, 0.82, 0.72]) + generator.uniform(-0.05, 0.05, 3)
    strength = generator.uniform(0.85, 1.0, (2, 256))
    warp_colour = np.where((warp % 12 < 5)[..., None], dark, light)
    weft_colour = np.where((weft % 12 < 5)[..., None], dark, light)
    warp_colour = warp_colour * strength[0, warp % 256][..., None]
    weft_colour = weft_colour * strength[1, weft % 256][..., None]
    across = np.sin(np.pi * (u - warp)), np.sin(np.pi * (v - weft))
    is_warp = (warp + weft) % 2 == 0
    # A yarn on top is round across and dips along where it goes under.
    warp_light = (0.45 + 0.55 * across[0]) * (0.7 + 0.3 * across[1])
    weft_light = (0.45 + 0.55 * across[1]) * (0.7 + 0.3 * across[0])
    colour = np.where(
        is_warp[..., None],
        warp_colour * warp_light[..., None],
        weft_colour * weft_light[..., None],
    )
    return Product(colour, np.ones(canvas.x.shape))


def paint_wood(canvas: Canvas, generator) -> Product:
    """A planed board: bent growth rings along x, and fibres."""
    turned = canvas.moved(0.0, 0.0, generator.uniform(-0.08, 0.08))
    bend = canvas.smooth_noise(generator, 150.0, 1.5) * 26.0
    bend += canvas.smooth_noise(generator, 40.0, 3.0) * 5.0
    depth = turned.y + bend + 300.0
    # Rings are saw-toothed: slow early wood, then a dark line.
    spacing = generator.uniform(13.0, 34.0, 64)
    borders = np.cumsum(spacing) - generator.uniform(0.0, 30.0)
    ring = np.clip(np.searchsorted(borders, depth), 1, len(borders) - 1)
    phase = (depth - borders[ring - 1]) / (borders[ring] - borders[ring - 1])
    darkness = generator.uniform(0.45, 1.0, 64)[ring]
    late = np.clip(phase, 0.0, 1.0) ** 2.5 * darkness
    late *= np.clip((1.0 - phase) * spacing[ring] / 4.0, 0.0, 1.0)
    # Streaks of minerals darken some boards in places.
    streaks = canvas.smooth_noise(generator, 16.0, 6.0) - 0.25
    streaks = np.clip(streaks * generator.uniform(0.8, 2.2), 0.0, 0.75)
    fibre = canvas.smooth_noise(generator, 2.2, 22.0)
    early = np.array([0.82, 0.62, 0.40]) + generator.uniform(-0.05, 0.05, 3)
    dark = np.array([0.38, 0.21, 0.10]) + generator.uniform(-0.03, 0.03, 3)
    tone = 1.0 + 0.10 * canvas.smooth_noise(generator, 70.0, 2.0) + 0.07 * fibre
    colour = mix(mix(early, dark, late), (0.16, 0.09, 0.06), streaks)
    return Product(colour * tone[..., None], np.ones(canvas.x.shape))


def paint_tiles(canvas: Canvas, generator, fault=None, fault_generator=None) -> Product:
    """Glazed tiles, dark and light by turns, whose grid begins anywhere."""
    x, y = generator.uniform(-_TILE, _TILE, 2)
    turned = canvas.moved(x, y, generator.uniform(-0.04, 0.04))
    row = np.floor(turned.y / _TILE + 0.5).astype(int)
    column = np.floor(turned.x / _TILE + 0.5).astype(int)
    shade = generator.uniform(-0.07, 0.07, (16, 16))[row % 16, column % 16]
    glaze = canvas.smooth_noise(generator, 5.0) * canvas.smooth_noise(generator, 14.0)
    is_dark = (row + column) % 2 == 0
    light = np.array([0.84, 0.85, 0.80]) + generator.uniform(-0.04, 0.04, 3)
    dark = np.array([0.19, 0.40, 0.47]) + generator.uniform(-0.04, 0.04, 3)
    inside = Canvas(turned.x - column * _TILE, turned.y - row * _TILE, canvas.pixel)
    mortar = 0.50 + 0.05 * canvas.smooth_noise(generator, 3.0)
    mortar = mortar[..., None] * np.array([1.0, 0.96, 0.90])
    distance = box(inside, _TILE - _GROUT, _TILE - _GROUT, 6.0)
    if fault is not None:
        target = _pick_tile(canvas, row, column, fault_generator)
        if fault == "missing_part":
            distance = np.where(target, 1e3, distance)
            # The ridges of the toothed trowel are left in the bed of mortar.
            ridges = np.sin((turned.x + 0.4 * turned.y) * 0.55)
            bed = (
                0.38 + 0.20 * ridges + 0.10 * canvas.smooth_noise(fault_generator, 6.0)
            )
            empty = canvas.coverage(box(inside, _TILE - _GROUT, _TILE - _GROUT, 6.0))
            mortar = mix(mortar, bed[..., None] * np.ones(3), empty * target)
        else:
            angle = fault_generator.uniform(0.22, 0.32)
            angle *= fault_generator.choice([-1.0, 1.0])
            x, y = fault_generator.uniform(-5.0, 5.0, 2)
            slipped = box(
                inside.moved(x, y, angle), _TILE - _GROUT, _TILE - _GROUT, 6.0
            )
            distance = np.where(target, slipped, distance)
    colour = np.where(is_dark[..., None], dark, light)
    colour = colour + (shade + 0.12 * glaze)[..., None]
    # The rounded edge of the glaze catches light at the top and left.
    rim = np.exp(-(((distance + 4.0) / 2.5) ** 2))
    facing = np.where(inside.x + inside.y < 0.0, 1.0, -1.0)
    colour = colour + (0.10 * rim * facing)[..., None]
    return Product(
        mix(mortar, colour, canvas.coverage(distance)), np.ones(canvas.x.shape)
    )


def _pick_tile(canvas, row, column, generator) -> np.ndarray:
    """Where one tile that is wholly in the picture lies."""
    centre = np.hypot(canvas.x, canvas.y) < 70.0
    chosen = generator.choice(np.flatnonzero(centre))
    return (row == row.flat[chosen]) & (column == column.flat[chosen])
