import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_rlr.backbones import create_backbone
from keras_rlr.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD
from tests.backbones.frozen import (
    assert_frozen,
    feature_maps,
    normalized,
    random_images,
)
from tests.golden_weights import assert_close


@pytest.fixture(scope="module")
def network():
    """A tiny ResNet with strides 4, 8 and 16."""
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 16, 24],
        stackwise_num_blocks=[1, 1, 1],
        stackwise_num_strides=[1, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )


@pytest.fixture(scope="module")
def preset(network, tmp_path_factory):
    """A preset folder with a converter of its own, as keras-hub writes it."""
    folder = tmp_path_factory.mktemp("tiny_resnet")
    network.save_to_preset(str(folder))
    converter = keras_hub.layers.ImageConverter(
        scale=[1 / 50, 1 / 40, 1 / 25], offset=[-2.0, -1.5, -3.0]
    )
    converter.save_to_preset(str(folder))
    return str(folder)


def test_gives_the_pyramid_outputs_of_a_preset_folder(network, preset):
    backbone = create_backbone(preset, levels=(1, 2, 3), image_size=64)
    assert backbone.origin == "keras_hub"
    images = random_images(2, 64)
    pyramid = keras.Model(network.input, network.pyramid_outputs)
    expected = pyramid(normalized(backbone, images), training=False)
    features = feature_maps(backbone, normalized(backbone, images))
    for level, output in enumerate(features, start=2):
        assert_close(output, ops.convert_to_numpy(expected[f"P{level}"]), 1e-5)
    assert [output.shape[-1] for output in features] == [64, 16, 24]
    assert_frozen(backbone, normalized(backbone, images))


@pytest.mark.backend_independent
def test_normalizes_as_the_presets_own_converter(preset):
    backbone = create_backbone(preset, levels=(1,), image_size=64)
    converter = keras_hub.layers.ImageConverter.from_preset(preset)
    images = random_images(2, 64).astype("float32")
    expected = ops.convert_to_numpy(converter(images))
    assert_close(normalized(backbone, images), expected, 1e-6)


@pytest.mark.backend_independent
def test_normalizes_as_for_imagenet_without_a_converter(network, tmp_path):
    network.save_to_preset(str(tmp_path))
    with pytest.warns(UserWarning, match="ImageNet's mean and standard deviation"):
        backbone = create_backbone(str(tmp_path), levels=(2,), image_size=64)
    assert backbone.mean == IMAGENET_MEAN
    assert backbone.std == IMAGENET_STD


@pytest.mark.backend_independent
def test_computes_nothing_beyond_the_last_level(preset):
    one = create_backbone(preset, levels=(1,), image_size=64).model
    three = create_backbone(preset, levels=(1, 2, 3), image_size=64).model
    assert len(one.layers) < len(three.layers) / 2


def test_weights_none_is_random_and_a_path_is_loaded(network, preset, tmp_path):
    network.save_weights(tmp_path / "own.weights.h5")

    def kernel(weights):
        model = create_backbone(
            preset, levels=(1,), image_size=64, weights=weights
        ).model
        return ops.convert_to_numpy(model.weights[0])

    shipped = kernel("imagenet")
    np.testing.assert_array_equal(kernel(tmp_path / "own.weights.h5"), shipped)
    assert np.abs(kernel(None) - shipped).max() > 0.01


@pytest.mark.backend_independent
def test_levels_and_sizes_that_do_not_fit_are_refused(preset):
    with pytest.raises(ValueError, match=r"has no level 4; .* \[1, 2, 3\]"):
        create_backbone(preset, levels=(4,), image_size=64)
    with pytest.raises(ValueError, match="image_size=64 or 80"):
        create_backbone(preset, levels=(3,), image_size=72)


@pytest.mark.backend_independent
def test_a_folder_that_is_no_preset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="could not load the backbone preset"):
        create_backbone(str(tmp_path), levels=(1,), image_size=64)


@pytest.mark.backend_independent
def test_a_misspelt_preset_is_refused_with_the_right_name():
    with pytest.raises(ValueError, match="Did you mean.*'resnet_50_imagenet'"):
        create_backbone("resnet_50_imagenett", levels=(1,), image_size=64)
