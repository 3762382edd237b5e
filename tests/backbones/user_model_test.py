import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr.backbones import create_backbone
from tests.backbones.frozen import assert_frozen, feature_maps, random_images
from tests.golden_weights import assert_close


def make_model(size=None, name="mine"):
    """Two maps at strides 4 and 8, with a batch normalization between."""
    image = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    fine = keras.layers.Conv2D(8, 3, strides=4, padding="same")(x)
    x = keras.layers.BatchNormalization()(fine)
    coarse = keras.layers.Conv2D(16, 3, strides=2, padding="same")(x)
    return keras.Model(image, [fine, coarse], name=name)


@pytest.mark.parametrize("levels", [(1, 2), (2,)])
def test_gives_the_outputs_of_the_model_on_unnormalised_images(levels):
    model = make_model()
    backbone = create_backbone(model, levels=levels, image_size=64)
    assert (backbone.mean, backbone.std) == ((0.0,) * 3, (1.0,) * 3)
    images = random_images(2, 64).astype("float32")
    expected = model(images, training=False)
    features = feature_maps(backbone, images)
    for level, output in zip(levels, features, strict=True):
        assert_close(output, ops.convert_to_numpy(expected[level - 1]), 1e-6)
    assert_frozen(backbone, images)


def test_a_subclassed_model_will_do():
    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.convolution = keras.layers.Conv2D(4, 3, strides=8, padding="same")

        def call(self, images):
            return [self.convolution(images)]

    backbone = create_backbone(Mine(), levels=(1,), image_size=64)
    (output,) = feature_maps(backbone, np.zeros((1, 64, 64, 3), "float32"))
    assert output.shape == (1, 8, 8, 4)


def functional(outputs, size=None):
    image = keras.Input((size, size, 3))
    return keras.Model(image, outputs(image), name="mine")


BAD = {
    "a single tensor": (
        lambda: functional(keras.layers.Conv2D(4, 3)),
        "returns a single tensor. Expected a list",
    ),
    "a dict": (
        lambda: functional(lambda image: {"map": keras.layers.Conv2D(4, 3)(image)}),
        "returns a dict. Expected a list",
    ),
    "vectors": (
        lambda: functional(lambda image: [keras.layers.GlobalMaxPooling2D()(image)]),
        r"shape \(None, 3\) for images of 64x64 pixels. Expected a feature map",
    ),
    "maps that lose the border": (
        lambda: functional(lambda image: [keras.layers.Conv2D(4, 6)(image)]),
        "use 'same' padding",
    ),
    "oblong maps": (
        lambda: functional(
            lambda image: [keras.layers.MaxPooling2D((4, 8), padding="same")(image)]
        ),
        "Expected a map of the same proportions",
    ),
    "another image size": (
        lambda: functional(lambda image: [image], size=32),
        "set image_size to the size it was built for",
    ),
}


@pytest.mark.backend_independent
@pytest.mark.parametrize("case", BAD)
def test_a_model_that_is_no_backbone_is_refused(case):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        create_backbone(make(), levels=(1,), image_size=64)


@pytest.mark.backend_independent
def test_levels_sizes_and_weights_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'mine' has no level 3"):
        create_backbone(make_model(), levels=(1, 3), image_size=64)
    with pytest.raises(ValueError, match="image_size=56 or 64"):
        create_backbone(make_model(), levels=(1, 2), image_size=60)
    with pytest.raises(ValueError, match="load_weights"):
        create_backbone(make_model(), levels=(1,), image_size=64, weights="a.h5")
