import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr.backbones import (
    create_backbone,
    deserialize_backbone,
    serialize_backbone,
)
from tests.backbones.user_model_test import make_model


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "name, suggestion",
    [
        ("efficientnet_b8", "efficientnet_b"),
        ("efficientnet-b6", "'efficientnet_b6'"),
        ("efficientnet_lite", "'efficientnet_lite2'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_closest_ones(name, suggestion):
    with pytest.raises(ValueError, match=f"Did you mean .*{suggestion}.*Keras model"):
        create_backbone(name, levels=(1,), image_size=64, weights=None)


@pytest.mark.backend_independent
def test_what_is_neither_a_name_nor_a_model_is_refused():
    with pytest.raises(TypeError, match="name of a backbone or a Keras model"):
        create_backbone(6, levels=(1,), image_size=64)


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite2"])
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"levels": (1, 4)}, r"has no level 4; it has the levels \[1, 2, 3\]"),
        ({"levels": (0,)}, "has no level 0"),
        ({"levels": ()}, "one or more integers"),
        ({"levels": (1.0,)}, "one or more integers"),
        ({"levels": (3, 1)}, r"Write \(1, 3\) instead"),
        ({"levels": (2, 2)}, r"Write \(2,\) instead"),
        ({"image_size": 72}, "Use image_size=64 or 80"),
        ({"image_size": 0}, "Use image_size=16"),
        ({"image_size": 64.0}, "must be an integer"),
    ],
)
def test_levels_and_image_sizes_that_do_not_fit_are_refused(name, arguments, message):
    arguments = {"levels": (1, 3), "image_size": 64, **arguments}
    with pytest.raises(ValueError, match=message):
        create_backbone(name, weights=None, **arguments)


@pytest.mark.backend_independent
def test_a_missing_weight_file_is_named(tmp_path):
    path = tmp_path / "nothing.h5"
    with pytest.raises(FileNotFoundError, match="no weights file .*nothing.h5"):
        create_backbone("efficientnet_lite2", levels=(1,), image_size=64, weights=path)


def round_trip(backbone, **arguments):
    config = json.loads(json.dumps(serialize_backbone(backbone)))
    return deserialize_backbone(config, **arguments)


def test_a_named_backbone_is_serialised_by_its_name():
    arguments = {"levels": (2, 3), "image_size": 64}
    backbone = create_backbone("efficientnet_lite2", **arguments)
    config = serialize_backbone(backbone)
    assert config == {"origin": "catalogue", "name": "efficientnet_lite2"}
    copy = round_trip(backbone, **arguments)
    assert (copy.mean, copy.std) == (backbone.mean, backbone.std)
    assert copy.model.output_shape == backbone.model.output_shape
    assert not copy.model.trainable_weights


def test_a_users_model_is_serialised_whole():
    arguments = {"levels": (1, 2), "image_size": 64}
    backbone = create_backbone(make_model(), **arguments)
    copy = round_trip(backbone, **arguments)
    assert (copy.name, copy.origin) == ("mine", "user")
    copy.model.set_weights(backbone.model.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    for ours, theirs in zip(copy.model(images), backbone.model(images), strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
        )
    assert not copy.model.trainable_weights


def test_a_serialised_model_with_code_in_it_is_refused():
    image = keras.Input((64, 64, 3))
    pooled = keras.layers.MaxPooling2D(4)(image)
    model = keras.Model(image, [keras.layers.Lambda(lambda x: x + 1)(pooled)])
    arguments = {"levels": (1,), "image_size": 64}
    backbone = create_backbone(model, **arguments)
    with pytest.raises(ValueError, match="lambda|Lambda"):
        round_trip(backbone, **arguments)
