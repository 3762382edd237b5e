import numpy as np
import pytest
from keras import ops

from keras_rlr.backbones import create_backbone, efficientnet_lite2
from tests.backbones.frozen import (
    assert_frozen,
    feature_maps,
    normalized,
    random_images,
)
from tests.backbones.torch_efficientnet_lite2 import original_features
from tests.golden_weights import assert_close

pytestmark = pytest.mark.optimized


@pytest.fixture(scope="module")
def backbone():
    return create_backbone("efficientnet_lite2", levels=(1, 2, 3), image_size=96)


def test_features_equal_those_of_the_original_file_in_pytorch(backbone):
    images = random_images(2, 96)
    features = feature_maps(backbone, normalized(backbone, images))
    expected = original_features(images)
    assert [array.shape for array in expected] == [
        (2, 24, 24, 24),
        (2, 12, 12, 48),
        (2, 6, 6, 120),
    ]
    for ours, theirs in zip(features, expected, strict=True):
        assert_close(ours, theirs, tolerance=1e-4)


def test_is_frozen(backbone):
    # As many as above, for which JAX has compiled it.
    assert_frozen(backbone, normalized(backbone, random_images(2, 96)))


@pytest.mark.backend_independent
@pytest.mark.parametrize("levels, blocks", [((1,), 4), ((2,), 7), ((1, 3), 15)])
def test_computes_no_block_beyond_the_last_level(backbone, levels, blocks):
    cut = create_backbone("efficientnet_lite2", levels=levels, image_size=96)
    used = {
        int(layer.name.split("_")[0].removeprefix("block"))
        for layer in cut.model.layers
        if layer.name.startswith("block")
    }
    assert used == set(range(blocks))
    images = normalized(backbone, random_images(1, 96))
    complete = feature_maps(backbone, images)
    outputs = feature_maps(cut, images)
    for level, output in zip(levels, outputs, strict=True):
        assert_close(output, ops.convert_to_numpy(complete[level - 1]), 1e-5)


@pytest.mark.backend_independent
def test_random_weights_are_not_the_shipped_ones(backbone):
    other = create_backbone(
        "efficientnet_lite2", levels=(1, 2, 3), image_size=96, weights=None
    )
    kernel = ops.convert_to_numpy(other.model.get_layer("stem").kernel)
    shipped = ops.convert_to_numpy(backbone.model.get_layer("stem").kernel)
    assert np.abs(kernel - shipped).max() > 0.1


@pytest.mark.backend_independent
def test_a_file_of_the_same_layout_loads_by_path(backbone, tmp_path):
    path = tmp_path / "mine.weights.h5"
    path.write_bytes(efficientnet_lite2.WEIGHTS_PATH.read_bytes())
    mine = create_backbone(
        "efficientnet_lite2", levels=(1, 2, 3), image_size=96, weights=path
    )
    for ours, theirs in zip(mine.model.weights, backbone.model.weights, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
        )


@pytest.mark.backend_independent
def test_a_damaged_installation_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "efficientnet_lite2.weights.h5"
    monkeypatch.setattr(efficientnet_lite2, "WEIGHTS_PATH", path)
    with pytest.raises(ValueError, match="found no file. Install keras_rlr again"):
        create_backbone("efficientnet_lite2", levels=(3,), image_size=64)
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match="are damaged or missing"):
        create_backbone("efficientnet_lite2", levels=(3,), image_size=64)
