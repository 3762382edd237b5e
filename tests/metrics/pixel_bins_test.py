import numpy as np
import pytest

from keras_rlr.metrics import functional, pixel_bins
from keras_rlr.metrics.pixel_bins import PixelBins

pytestmark = pytest.mark.backend_independent


def test_maps_of_any_sizes_are_counted_part_by_part(monkeypatch):
    monkeypatch.setattr(pixel_bins, "_AT_ONCE", 77)
    generator = np.random.default_rng(0)
    bins, pairs = PixelBins(), []
    for height, width in ((9, 30), (41, 20), (5, 7), (64, 64)):
        masks = np.zeros((3, height, width), bool)
        masks[1, 1:4, 2:6] = masks[2, :2] = masks[2, -2:] = True
        maps = generator.gamma(2.0, size=masks.shape).astype("float32") + masks
        bins.update(masks, maps)
        pairs += zip(masks, maps, strict=True)
    exact = functional.pixel_figures(*map(list, zip(*pairs, strict=True)))
    bounds = bins.error_bounds()
    assert bins.normal.sum() + bins.anomalous.sum() == sum(m.size for m, _ in pairs)
    for name, value in bins.figures().items():
        assert abs(value - exact[name]) <= bounds[name] + 1e-6
        assert 0 < bounds[name] < 0.01
