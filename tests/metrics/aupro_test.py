import math
import warnings

import keras
import numpy as np
import pytest

from keras_rlr.metrics import AUPRO, functional


def random_maps(count=12, seed=0):
    generator = np.random.default_rng(seed)
    masks = np.zeros((count, 32, 32), bool)
    for mask in masks[::2]:
        row, column = generator.integers(0, 24, 2)
        mask[row : row + 6, column : column + 4] = True
        mask[0, 0] = True
    maps = generator.gamma(2.0, size=masks.shape) + masks
    return masks, maps.astype("float32")


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_is_within_its_bound_of_the_exact_value(limit):
    masks, maps = random_maps()
    metric = AUPRO(limit, resolution=13)
    for part in range(0, 12, 5):
        metric.update_state(masks[part : part + 5], maps[part : part + 5])
    error = abs(metric.result() - functional.aupro(masks, maps, limit))
    assert error <= metric.error_bound() + 1e-12
    assert 0 < metric.error_bound() < 0.05


def test_the_default_resolution_is_close(golden):
    arrays = golden("metrics")
    metric = AUPRO()
    metric.update_state(arrays["masks"] > 0, arrays["maps"])
    assert metric.result() == pytest.approx(float(arrays["pixel_aupro_0.30"]), abs=1e-4)


def test_reset_and_round_trip():
    masks, maps = random_maps()
    metric = AUPRO(0.1, resolution=12, name="mine")
    metric.update_state(masks, maps)
    first = metric.result()
    metric.reset_state()
    metric.update_state(masks, maps)
    assert metric.result() == first
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert again.get_config() == metric.get_config()


@pytest.mark.parametrize("value", [0, 1])
def test_a_single_class_is_nan_with_a_warning(value):
    metric = AUPRO()
    metric.update_state(np.full((1, 3, 3), value), np.zeros((1, 3, 3), "float32"))
    with pytest.warns(UserWarning, match="AUPRO is undefined without both classes"):
        assert math.isnan(metric.result())


def test_a_compiled_step_is_refused_and_an_eager_one_measures():
    masks, maps = random_maps()
    model = keras.Sequential([keras.Input((32, 32)), keras.layers.Identity()])
    model.compile(loss="mse", metrics=[AUPRO()])
    arguments = {"x": maps, "y": masks.astype("int32"), "verbose": 0}
    if keras.backend.backend() != "torch":  # its steps are eager
        with pytest.raises(ValueError, match="AUPRO needs connected regions"):
            model.evaluate(**arguments)
        return
    with warnings.catch_warnings():
        # Keras builds metrics there by a call on values of one class.
        warnings.filterwarnings("ignore", "AUPRO is undefined")
        logs = model.evaluate(**arguments, return_dict=True)
    assert logs["aupro"] == pytest.approx(functional.aupro(masks, maps), abs=2e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"masks": np.zeros((2, 2))}, "shape .images, height, width.. Received"),
        ({"masks": np.full((1, 2, 2), 255)}, "a mask needs `mask > 0`"),
        ({"weight": [1.0]}, "takes no `sample_weight`"),
    ],
)
def test_refuses(arguments, message):
    masks = arguments.get("masks", np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match=message):
        AUPRO().update_state(masks, np.zeros(masks.shape), arguments.get("weight"))
