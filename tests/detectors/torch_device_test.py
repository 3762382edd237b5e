"""On PyTorch, batches and images come to the device that Keras' variables are on.

A GPU's place is taken by PyTorch's device "meta", which computes shapes alone, and
refuses as a GPU does to compute with tensors of another device.
"""

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr.inputs.image_source import ImageSource
from tests.detectors import contract
from tests.methods.contract_test import METHODS
from tests.tiny_model import random_images

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.backend_independent,
    pytest.mark.skipif(
        keras.backend.backend() != "torch", reason="PyTorch's devices alone"
    ),
]
IMAGES = random_images(4, 32, 64)


def devices(structure):
    return {str(tensor.device) for tensor in keras.tree.flatten(structure)}


def train_batches(model, feature_cache=None):
    return model.training_batches(
        ImageSource(IMAGES, 2),
        feature_cache,
        None,
        seed=0,
        first_epoch=0,
        first_step=0,
        first_batch=0,
        shuffle=True,
    )


# Keras' convolutions have no gradient there, of which MKD's maps are made.
@pytest.mark.parametrize("name", sorted({*METHODS} - {"MKD"}))
def test_images_of_another_device_are_taken(name):
    # With a bank, Gaussians, maps of similar images.
    model = contract.trained(METHODS[name])
    with keras.device("meta"):
        for images in (torch.as_tensor(IMAGES), IMAGES, IMAGES.astype("uint16")):
            outputs = model(images)
            assert devices(outputs) == {"meta"}
            assert outputs["anomaly_map"].shape == (4, 32, 64)


@pytest.mark.parametrize(
    ("name", "with_cache"),
    [(name, False) for name in ("RLR", "SimpleNet", "UniAD", "MKD", "DRAEM")]
    + [(name, True) for name in ("RLR", "SimpleNet", "UniAD")],
)
def test_batches_of_training(name, with_cache):
    # Statistics of images are values, which the device in a GPU's place has not.
    cache = keras_rlr.FeatureCache("memory") if with_cache else None
    batches = train_batches(METHODS[name](), cache)
    with keras.device("meta"):
        model = METHODS[name]()
        batch = next(iter(batches.get_torch_dataloader()))
        assert devices(batch) == {"meta"}
        assert devices(model(batch[0], training=True)) == {"meta"}


def test_uint16_stays_what_it_is():
    """Keras alone would make int32 of it, and nobody could scale it any more."""
    model = METHODS["PatchCore"]()
    images = IMAGES.astype("uint16") * 257
    scores = model(images)["anomaly_map"]
    found = model(torch.as_tensor(images))["anomaly_map"]
    np.testing.assert_allclose(found, scores, rtol=1e-5, atol=1e-5)
