"""Lengths that recipes come to."""

import pytest

from keras_rlr.methods.rlr.recipe import PAPER, Recipe

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("steps_per_epoch", "epochs"),
    [
        (1, 100),
        (7, 15),  # 14 would be 98 steps
        (20, 5),
        (33, 4),
        (34, 3),
        (10_000, 3),
    ],
)
def test_both_minima_are_reached(steps_per_epoch, epochs):
    recipe = Recipe("mine", epochs=3, batch_size=4, learning_rate=1e-3, steps=100)
    assert recipe.epochs_for(steps_per_epoch) == epochs


def test_data_of_unknown_length_gets_the_epochs_and_a_warning():
    recipe = Recipe("mine", epochs=3, batch_size=4, learning_rate=1e-3, steps=100)
    with pytest.warns(UserWarning, match="3 epochs .* fewer than the 100 steps"):
        assert recipe.epochs_for(None) == 3


def test_the_papers_length_is_stated_in_epochs_alone():
    assert {PAPER.epochs_for(count) for count in (1, 900, None)} == {200}
