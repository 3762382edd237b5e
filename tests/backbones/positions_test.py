import numpy as np
import pytest

from keras_rlr.backbones.vision_transformer.positions import resized_positions
from tests.golden_weights import assert_close

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    "side, grid",
    [(37, (28, 28)), (37, (16, 16)), (5, (8, 8)), (6, (4, 9)), (4, (4, 4))],
)
def test_positions_are_resized_as_by_pytorch(side, grid, antialias):
    torch = pytest.importorskip("torch")
    positions = np.random.default_rng(0).normal(size=(side * side, 5))
    square = torch.tensor(positions.reshape(1, side, side, 5)).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(
        square, size=grid, mode="bicubic", align_corners=False, antialias=antialias
    )
    expected = expected.permute(0, 2, 3, 1).reshape(-1, 5).numpy()
    assert_close(resized_positions(positions, grid, antialias), expected, 1e-5)
