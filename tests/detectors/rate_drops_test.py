"""The learning rate late in a training, of a model of one weight."""

import keras
import numpy as np

from keras_rlr.detectors.recipe import Recipe
from keras_rlr.detectors.training_callbacks import RateDrops

RECIPE = Recipe("paper", 10, 2, 1e-3, drops=(0.8, 0.9), drop_factor=0.2)
X = np.ones((2, 1), "float32")


def rate_of(model):
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def rates_of(rate, **options):
    """The rate in each epoch, and after the training."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse")
    rates = []
    noted = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(rate_of(model))
    )
    model.fit(X, X, callbacks=[RateDrops(RECIPE), noted], verbose=0, **options)
    return [*rates, rate_of(model)]


def test_it_drops_late_and_comes_back():
    expected = [1e-3] * 8 + [2e-4, 4e-5, 1e-3]
    np.testing.assert_allclose(rates_of(1e-3, epochs=10), expected, rtol=1e-5)


def test_a_training_that_goes_on_has_the_rate_of_its_epoch():
    # As a checkpoint after 9 of 10 epochs has it.
    found = rates_of(2e-4, epochs=10, initial_epoch=9)
    np.testing.assert_allclose(found, [4e-5, 1e-3], rtol=1e-5)


def test_a_schedule_of_the_user_is_left_alone():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 1.0)
    assert rates_of(schedule, epochs=10) == [0.5] * 11


def test_a_recipe_counts_them():
    assert [RECIPE.drops_before(epoch, 10) for epoch in range(10)] == [0] * 8 + [1, 2]
    assert Recipe("default", 10, 2, 1e-3).drops_before(9, 10) == 0
