"""The learning rate of each epoch, of a model of one weight."""

import keras
import numpy as np
import pytest

from keras_rlr.detectors.recipe import Recipe
from keras_rlr.detectors.training_callbacks import RateOfEpoch

DROPS = Recipe("paper", 10, 2, 1e-3, drops=(0.8, 0.9), drop_factor=0.2)
COSINE = Recipe("default", 10, 2, 1e-3, cosine=True)
X = np.ones((2, 1), "float32")


def rates_of(recipe, **options):
    """The rate in each epoch, and after the training."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    rates = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    callbacks = [Note(), RateOfEpoch(recipe, options["epochs"])]
    model.fit(X, X, callbacks=callbacks, verbose=0, **options)
    return [*rates, float(model.optimizer.learning_rate)]


def test_it_drops_late_and_comes_back():
    expected = [1e-3] * 8 + [2e-4, 4e-5, 1e-3]
    np.testing.assert_allclose(rates_of(DROPS, epochs=10), expected, rtol=1e-5)


def test_a_training_that_goes_on_has_the_rate_of_its_epoch():
    found = rates_of(DROPS, epochs=10, initial_epoch=9)
    np.testing.assert_allclose(found, [4e-5, 1e-3], rtol=1e-5)


def test_a_cosine_falls_to_nothing():
    rates = rates_of(COSINE, epochs=10)[:-1]
    np.testing.assert_allclose(np.add(rates, rates[::-1]), 1e-3, rtol=1e-5)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-5


@pytest.mark.parametrize(
    ("recipe", "has_schedule"),
    [(DROPS, True), (COSINE, True), (Recipe("default", 10, 2, 1e-3), False)],
)
def test_a_recipe_says_whether_the_rate_changes(recipe, has_schedule):
    assert recipe.has_schedule is has_schedule
    shares = {recipe.rate_share(epoch, 10) for epoch in range(10)}
    assert (len(shares) > 1) is has_schedule
