"""A user's keras.json may say that channels are first; here they never are."""

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr.backbones import create_backbone
from tests.tiny_model import random_images

IMAGES = random_images(2, 64, 64)
LITE2 = {"backbone": "efficientnet_lite2", "levels": (1,), "image_size": 64, "seed": 0}
pytestmark = pytest.mark.backend_independent


@pytest.fixture
def channels_first():
    before = keras.config.image_data_format()

    def begin():
        keras.config.set_image_data_format("channels_first")

    yield begin
    keras.config.set_image_data_format(before)


def patch_core():
    model = keras_rlr.PatchCore(**LITE2)
    model.fit(IMAGES[:1], verbose=0)
    return model


def mkd():
    return keras_rlr.MKD(**LITE2, student_width=2, standardize_features=True)


def draem():
    return keras_rlr.DRAEM(64, reconstruction_width=2, segmentation_width=2, seed=0)


def outputs(make):
    model = make()
    if model.needs_adapting:
        model.adapt(IMAGES)
    batch = {"image": IMAGES, "describe": np.zeros(2, "float32")}
    return {k: keras.ops.convert_to_numpy(v) for k, v in model(batch).items()}


@pytest.mark.parametrize("make", [patch_core, mkd, draem])
def test_detectors_are_the_same(make, channels_first):
    expected = outputs(make)
    channels_first()
    found = outputs(make)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


def test_decoders_are_the_same(channels_first):
    features = [np.ones((1, 16, 16, 3), "float32"), np.ones((1, 8, 8, 5), "float32")]

    def picture():
        shapes = [part.shape[1:] for part in features]
        decoder = keras_rlr.FeatureDecoder(shapes, image_size=64, width=4, seed=0)
        return decoder.decode(features)

    expected = picture()
    channels_first()
    np.testing.assert_allclose(picture(), expected, rtol=1e-4)


def test_backbones_of_keras_are_the_same(channels_first):
    channels_first()
    backbone = create_backbone(
        "efficientnet_b0", levels=(1, 3), image_size=64, weights=None
    )
    shapes = [tuple(output.shape[1:]) for output in backbone.model.outputs]
    assert shapes == [(16, 16, 24), (4, 4, 112)]
    assert keras.config.image_data_format() == "channels_first"
