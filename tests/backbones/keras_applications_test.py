import os
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr.backbones import create_backbone
from keras_rlr.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD
from keras_rlr.keras_import import OWN_PROCESS
from tests.backbones.frozen import (
    assert_frozen,
    feature_maps,
    normalized,
    random_images,
)
from tests.golden_weights import assert_close

# Both networks are Keras' own; what is tested is how a file is read and one is cut.
pytestmark = pytest.mark.backend_independent

MEAN = np.array([0.485, 0.456, 0.406], "float32")
STD = np.array([0.229, 0.224, 0.225], "float32")


@pytest.fixture(scope="module")
def complete():
    """keras.applications' own B0, with random statistics and normalization."""
    model = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for weight in layer.weights:
                weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    # With these, the model's own front is (x / 255 - mean) / std.
    (front,) = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)
    ]
    front.set_weights([MEAN, STD**2, np.array(0)])
    front.finalize_state()
    return model


@pytest.fixture(scope="module")
def weights_path(complete, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "b0.weights.h5"
    complete.save_weights(path)
    return path


def write_old_format(model, path):
    """Keras 2's weights file, the format of keras.applications' downloads."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = ops.convert_to_numpy(weight)


def test_a_weight_file_gives_the_features_of_the_complete_model(complete, weights_path):
    """From raw pixels on: so the backbone sees (x / 255 - mean) / std."""
    images = random_images(2, 64)
    names = ("block2b_add", "block3b_add", "block5c_add")
    outputs = [complete.get_layer(name).output for name in names]
    reference = keras.Model(complete.input, outputs)
    expected = reference(images.astype("float32"), training=False)
    backbone = create_backbone(
        "efficientnet_b0", levels=(1, 2, 3), image_size=64, weights=weights_path
    )
    assert backbone.mean == IMAGENET_MEAN
    assert backbone.std == IMAGENET_STD
    features = feature_maps(backbone, normalized(backbone, images))
    for ours, theirs in zip(features, expected, strict=True):
        assert_close(ours, ops.convert_to_numpy(theirs), tolerance=1e-4)
    assert_frozen(backbone, normalized(backbone, images))


def test_a_file_in_the_format_of_the_downloads_loads_too(
    complete, weights_path, tmp_path
):
    path = tmp_path / "efficientnetb0_notop.h5"
    write_old_format(complete, path)
    one, other = (
        create_backbone("efficientnet_b0", levels=(2,), image_size=64, weights=file)
        for file in (path, str(weights_path))
    )
    for ours, theirs in zip(one.model.weights, other.model.weights, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
        )


def test_a_file_of_another_network_is_refused(weights_path):
    with pytest.raises(ValueError, match="does not hold the weights of .*_b1'"):
        create_backbone(
            "efficientnet_b1", levels=(1,), image_size=64, weights=weights_path
        )


def test_computes_nothing_beyond_the_last_level(complete):
    model = create_backbone(
        "efficientnet_b0", levels=(2,), image_size=64, weights=None
    ).model
    names = [layer.name for layer in complete.layers]
    needed = names[names.index("stem_conv_pad") : names.index("block3b_add") + 1]
    assert [layer.name for layer in model.layers[1:]] == needed
    assert model.output_shape == (None, 8, 8, 40)


def test_b6_is_cut_at_the_blocks_of_the_paper():
    model = create_backbone(
        "efficientnet_b6", levels=(1, 2, 3), image_size=96, weights=None
    ).model
    assert model.output_names == ["block2f_add", "block3f_add", "block5h_add"]
    assert model.output_shape == [
        (None, 24, 24, 40),
        (None, 12, 12, 72),
        (None, 6, 6, 200),
    ]
    assert not [layer for layer in model.layers if layer.name.startswith("block6")]
    assert round(model.count_params() / 1e6, 2) == 7.97


def test_an_image_below_32_pixels_is_refused():
    with pytest.raises(ValueError, match="image_size=32 or more"):
        create_backbone("efficientnet_b0", levels=(1,), image_size=16, weights=None)


def test_without_a_network_the_error_names_both_ways_out(tmp_path):
    """In a process of its own, whose downloads go to a closed port."""
    code = (
        "from keras_rlr.backbones import create_backbone\n"
        "try:\n"
        "    create_backbone('efficientnet_b0', levels=(1,), image_size=64)\n"
        "except ConnectionError as error:\n"
        "    print(error)\n"
    )
    closed = {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    own = {"KERAS_HOME": str(tmp_path), OWN_PROCESS: "1"}
    environment = {**os.environ, **closed, **own}
    for name in ("HTTPS_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    message = done.stdout.splitlines()[-1]
    assert "backbone_weights=PATH" in message
    assert "efficientnetb0_notop.h5" in message
    assert "KERAS_HOME" in message
    assert "efficientnet_lite2" in message
