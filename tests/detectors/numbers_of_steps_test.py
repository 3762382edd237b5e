"""How often and how long: numbers that are none are refused before any work."""

import math

import pytest

from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

pytestmark = pytest.mark.backend_independent

IMAGES = random_images(6)
NONE = (0, -1, 1.5, math.nan, "2", True)


@pytest.fixture(scope="module")
def model():
    return tiny_model(**ONE_LEVEL)


@pytest.mark.parametrize("value", NONE, ids=repr)
@pytest.mark.parametrize(
    "name",
    ["epochs", "steps_per_epoch", "batch_size", "validation_steps", "validation_freq"],
)
def test_of_fit(model, name, value):
    validation = {"validation_data": IMAGES} if name.startswith("validation") else {}
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of"):
        model.fit(IMAGES, verbose=0, **{"epochs": 1, **validation, name: value})
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize("value", [-1, 1.5, "0", None], ids=repr)
def test_of_an_epoch_to_begin_with(model, value):
    with pytest.raises(ValueError, match="`initial_epoch` must be a whole number"):
        model.fit(IMAGES, epochs=2, initial_epoch=value, verbose=0)


@pytest.mark.parametrize("value", NONE, ids=repr)
@pytest.mark.parametrize("verb", ["predict", "evaluate", "calibrate", "adapt"])
def test_of_inference(model, verb, value):
    with pytest.raises(ValueError, match="`steps` must be a whole number of batches"):
        getattr(model, verb)(IMAGES, batch_size=2, steps=value)


def test_a_validation_in_some_epochs(model):
    found = tiny_model(**ONE_LEVEL).fit(
        IMAGES, epochs=3, validation_data=IMAGES, validation_freq=[2], verbose=0
    )
    assert len(found.history["val_loss"]) == 1
