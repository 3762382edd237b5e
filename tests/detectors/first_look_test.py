"""What `fit` takes from images before it trains, if it then does not train on them."""

import keras
import numpy as np
import pytest

import keras_rlr
from tests.tiny_model import (
    IMAGE_SIZE,
    ONE_LEVEL,
    random_images,
    tiny_backbone,
    tiny_model,
    tiny_simplenet,
    tiny_uniad,
)

NORMAL = random_images(6)
OTHERS = random_images(6, seed=5) // 3


def patch_core():
    return keras_rlr.PatchCore(
        tiny_backbone(),
        levels=(1, 2),
        image_size=IMAGE_SIZE,
        standardize_features=True,
        seed=0,
    )


def rlr():
    settings = {"coreset_ratio": 0.2, "reference_start": "means"}
    return tiny_model(**ONE_LEVEL, standardize_features=True, **settings)


METHODS = {
    "PatchCore": patch_core,
    "SimpleNet": tiny_simplenet,
    "UniAD": lambda: tiny_uniad(standardize_features=True),
    "RLR": rlr,
}


class Stop(keras.callbacks.Callback):
    """Interrupts a training before a step of it."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.step:
            raise KeyboardInterrupt


def fit(model, images, stop=None):
    callbacks = [] if stop is None else [Stop(stop)]
    model.fit(images, batch_size=3, epochs=1, verbose=0, callbacks=callbacks)
    return model


def means(model):
    return [keras.ops.convert_to_numpy(layer.mean) for layer in model.standardizations]


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
def test_a_training_stopped_at_once_leaves_nothing_of_its_images(make):
    model = make()
    with pytest.raises(KeyboardInterrupt):
        fit(model, OTHERS, stop=0)
    with pytest.raises(ValueError, match="Call fit"):
        model.predict(NORMAL, verbose=0)
    found, expected = fit(model, NORMAL), fit(make(), NORMAL)
    for mean, other in zip(means(found), means(expected), strict=True):
        np.testing.assert_allclose(mean, other, rtol=1e-5, atol=1e-6)
    scores = [
        each.predict(OTHERS, verbose=0)["anomaly_score"] for each in (found, expected)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-4)


def test_one_pass_has_no_steps_to_keep_statistics_for():
    model = patch_core()
    with pytest.raises(KeyboardInterrupt):
        fit(model, OTHERS, stop=1)
    assert model.needs_adapting


def test_steps_that_were_taken_keep_the_statistics_they_were_taken_with():
    model = tiny_simplenet(standardize_features=True)
    with pytest.raises(KeyboardInterrupt):
        fit(model, OTHERS, stop=1)
    assert not model.needs_adapting
    before = means(model)
    for mean, other in zip(means(fit(model, NORMAL)), before, strict=True):
        np.testing.assert_array_equal(mean, other)
