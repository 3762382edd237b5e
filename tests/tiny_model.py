"""A whole detector that is built and trained in seconds, and images for it."""

import keras
import numpy as np
import pytest

import keras_rlr

IMAGE_SIZE = 32
# For `tiny_model(**ONE_LEVEL)`, which is compiled and exported in half the time.
ONE_LEVEL = {"levels": (1,), "hidden_dims": (16,), "windows": (3,)}
# Settings of `train` for a small RLR on weights that come with the package.
SMALL_RUN = {
    "backbone": "efficientnet_lite2",
    "levels": (1,),
    "image_size": 48,
    "hidden_dims": (16,),
    "num_blocks": 1,
    "batch_size": 4,
}


def tiny_backbone(seed=0):
    """Maps at strides 4 and 8, with batch norm, whose statistics must never move."""
    image = keras.Input((None, None, 3))
    initializer = keras_rlr.layers.SeededNormal(0.15, seed)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    options = {"padding": "same", "kernel_initializer": initializer}
    x = keras.layers.Conv2D(8, 5, strides=4, **options)(x)
    fine = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    coarse = keras.layers.Conv2D(12, 3, strides=2, **options)(fine)
    return keras.Model(image, [fine, coarse], name="tiny")


def tiny_model(**overrides):
    """RLR on `tiny_backbone`, two levels of 8x8 and 4x4 tokens."""
    settings = {
        "backbone": tiny_backbone(),
        "levels": (1, 2),
        "image_size": IMAGE_SIZE,
        "hidden_dims": (16, 16),
        "windows": (3, 3),
        "num_heads": 4,
        "num_blocks": 1,
        "seed": 0,
    }
    return keras_rlr.RLR(**{**settings, **overrides})


def tiny_simplenet(**overrides):
    """SimpleNet on `tiny_backbone`, 8x8 tokens of 20 channels."""
    settings = {
        "backbone": tiny_backbone(),
        "levels": (1, 2),
        "image_size": IMAGE_SIZE,
        "hidden_dim": 16,
        "seed": 0,
    }
    return keras_rlr.SimpleNet(**{**settings, **overrides})


def tiny_uniad(**overrides):
    """UniAD on `tiny_backbone`, 4x4 tokens of 20 channels."""
    settings = {
        "backbone": tiny_backbone(),
        "levels": (1, 2),
        "image_size": IMAGE_SIZE,
        "hidden_dim": 8,
        "window": 3,
        "num_heads": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "ffn_dim": 16,
        "seed": 0,
    }
    return keras_rlr.UniAD(**{**settings, **overrides})


def snapshot(model):
    """What `restore` needs to put a model back, which is quicker than a new one."""
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    return [(v, keras.ops.convert_to_numpy(v).copy()) for v in variables]


def restore(state):
    """Gives every variable of a snapshot its value back."""
    for variable, value in state:
        variable.assign(value)


def random_images(count, height=IMAGE_SIZE, width=IMAGE_SIZE, seed=0):
    """uint8 RGB images with some structure."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 5, 5, 3))
    rows = np.arange(height) * 5 // height
    columns = np.arange(width) * 5 // width
    images = coarse[:, rows][:, :, columns] + generator.integers(
        -9, 10, (height, width, 1)
    )
    return np.clip(images, 0, 255).astype("uint8")


def fit_losses(model, data, **options):
    """The loss of each epoch of a quiet `fit`."""
    return model.fit(data, verbose=0, **options).history["loss"]


def bilinear(token_map):
    """A map of tokens at `IMAGE_SIZE` as PyTorch's `interpolate` makes it."""
    torch = pytest.importorskip("torch")
    found = torch.nn.functional.interpolate(
        torch.as_tensor(token_map)[None, None],
        (IMAGE_SIZE, IMAGE_SIZE),
        mode="bilinear",
    )
    return found[0, 0].numpy()
