import numpy as np
import pytest

from keras_rlr.layers import FusedLevels
from tests.layer_test_case import check_layer, to_numpy
from tests.layers.random_tokens import random_tokens

FINE, COARSE = random_tokens(2, 8, 6, 3), random_tokens(2, 4, 3, 5, seed=1)


def fused(**options):
    return to_numpy(FusedLevels(**options)([FINE, COARSE]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"grid": "coarsest"},
        {"grid": (5, 7), "finer": "bilinear"},
        {"grid": "coarsest", "finer": "space_to_depth"},
    ],
    ids=str,
)
def test_contract(options):
    check_layer(FusedLevels(**options), [FINE, COARSE])


@pytest.mark.parametrize("grid", [(4, 3), (3, 3), (16, 12), (11, 13)])
@pytest.mark.parametrize("how", ["average", "bilinear", "nearest"])
def test_resamples_as_pytorch_does(grid, how):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    options = {"finer": how, "coarser": "bilinear" if how == "average" else how}
    found = fused(grid=grid, **options)
    parts = []
    for level in (FINE, COARSE):
        tensor = torch.from_numpy(level).permute(0, 3, 1, 2)
        is_finer = level.shape[1] * level.shape[2] > grid[0] * grid[1]
        kind = options["finer" if is_finer else "coarser"]
        if kind == "average":
            tensor = functional.adaptive_avg_pool2d(tensor, grid)
        elif kind == "bilinear":
            tensor = functional.interpolate(tensor, grid, mode="bilinear")
        else:
            tensor = functional.interpolate(tensor, grid, mode="nearest")
        parts.append(tensor.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(found, np.concatenate(parts, -1), rtol=0, atol=1e-5)


def test_space_to_depth_keeps_every_value_in_its_place():
    found = fused(grid="coarsest", finer="space_to_depth")
    assert found.shape == (2, 4, 3, 4 * 3 + 5)
    for row in range(4):
        for column in range(3):
            block = FINE[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            expected = np.concatenate(
                [block.reshape(2, -1), COARSE[:, row, column]], axis=-1
            )
            np.testing.assert_array_equal(found[:, row, column], expected)


def test_of_one_level_it_changes_nothing():
    np.testing.assert_array_equal(to_numpy(FusedLevels()([FINE])), FINE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": "finer"}, "finest"),
        ({"finer": "mean"}, "average"),
        ({"coarser": "average"}, "bilinear"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        FusedLevels(**options)


def test_refuses_space_to_depth_of_an_uneven_grid():
    layer = FusedLevels(grid=(3, 3), finer="space_to_depth")
    with pytest.raises(ValueError, match="8x6 tokens for a grid of 3x3"):
        layer([FINE, COARSE])
