"""How a backbone is run, and what no batch of images may change in it."""

import numpy as np
from keras import ops


def assert_frozen(backbone, images):
    """Trainable weights there are none, and `training=True` moves no statistics."""
    model = backbone.model
    assert not model.trainable
    assert model.trainable_weights == []
    before = [ops.convert_to_numpy(weight).copy() for weight in model.weights]
    inference = feature_maps(backbone, images)
    training = feature_maps(backbone, images, training=True)
    for first, second in zip(inference, training, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(first), ops.convert_to_numpy(second)
        )
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)


def feature_maps(backbone, images, training=False):
    """The maps as a list, also of one level."""
    maps = backbone.model(images, training=training)
    return maps if isinstance(maps, list) else [maps]


def normalized(backbone, images):
    """What the backbone's model receives for images in 0..255."""
    return ((images - np.array(backbone.mean)) / backbone.std).astype("float32")


def random_images(count, size):
    """uint8 images with structure at every scale."""
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 255, (count, size // 8, size // 8, 3))
    images = images.repeat(8, axis=1).repeat(8, axis=2)
    images += generator.normal(0, 20, images.shape)
    return images.clip(0, 255).astype("uint8")
