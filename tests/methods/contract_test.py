"""Every method keeps the contract of detectors, on every backend."""

import inspect

import keras
import pytest

import keras_rlr
from tests.detectors import contract
from tests.detectors.contract import IMAGE_SHAPE
from tests.tiny_model import (
    tiny_backbone,
    tiny_model,
    tiny_simplenet,
    tiny_uniad,
)


def tiny_mkd():
    """MKD on the two levels of `tiny_backbone`."""
    return keras_rlr.MKD(
        tiny_backbone(), levels=(1, 2), image_size=IMAGE_SHAPE, student_width=4, seed=0
    )


def tiny_draem():
    """DRAEM of the fewest channels."""
    return keras_rlr.DRAEM(
        image_size=IMAGE_SHAPE, reconstruction_width=2, segmentation_width=2, seed=0
    )


METHODS = {
    "RLR": lambda: tiny_model(
        image_size=IMAGE_SHAPE,
        hidden_dims=16,
        windows=3,
        fuse_levels=True,
        standardize_features=True,
        cosine_damping=0.3,
        dropout=0.1,
        hard_mining=0.5,
        score_share=0.01,
        coreset_ratio=0.2,
        reference_tokens=2,
        reference_start="samples",
        similar_images=3,
        augmentation="flip",
    ),
    "PatchCore": lambda: keras_rlr.PatchCore(
        tiny_backbone(),
        levels=(1, 2),
        image_size=IMAGE_SHAPE,
        reweighted_neighbors=3,
        smoothing=1.0,
        standardize_features=True,
        seed=0,
    ),
    "PaDiM": lambda: keras_rlr.PaDiM(
        tiny_backbone(),
        levels=(1, 2),
        image_size=IMAGE_SHAPE,
        num_channels=5,
        smoothing=1.0,
        seed=0,
    ),
    "SimpleNet": lambda: tiny_simplenet(
        image_size=IMAGE_SHAPE, standardize_features=True
    ),
    "UniAD": lambda: tiny_uniad(image_size=IMAGE_SHAPE, standardize_features=True),
    "MKD": tiny_mkd,
    "DRAEM": tiny_draem,
}


@pytest.fixture(scope="module", params=METHODS)
def method(request):
    make = METHODS[request.param]
    return make, contract.trained(make)


@pytest.fixture(scope="module")
def twin(method):
    return contract.twin_of(method[0])


@pytest.fixture(scope="module")
def clone(method):
    return contract.clone_of(method[1])


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_a_detector(method, twin, clone, check, tmp_path):
    offered = {"folder": tmp_path, "twin": twin, "clone": clone}
    wanted = inspect.signature(check).parameters
    check(*method, **{name: offered[name] for name in offered if name in wanted})


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="other backends export in a process on TensorFlow, tested in tests/export",
)
def test_it_is_exported(method, tmp_path):
    contract.check_export(*method, tmp_path)
