"""`adapt` on a model that has features standardised otherwise behind it."""

import warnings

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
TESTED = random_images(2, seed=2)
pytestmark = pytest.mark.backend_independent


def make(method, **overrides):
    settings = {"levels": (1, 2), "image_size": IMAGE_SIZE, "seed": 0}
    settings["standardize_features"] = True
    return method(tiny_backbone(), **{**settings, **overrides})


def patch_core(**overrides):
    return make(keras_rlr.PatchCore, **overrides)


def padim(**overrides):
    return make(keras_rlr.PaDiM, num_channels=3, **overrides)


def mkd(**overrides):
    return make(keras_rlr.MKD, student_width=2, **overrides)


def scores(model):
    return model.predict(TESTED, verbose=0)["anomaly_score"]


def means(model):
    return [keras.ops.convert_to_numpy(s.mean) for s in model.standardizations]


ONE_PASS = pytest.mark.parametrize("method", [patch_core, padim])
TRAINED = pytest.mark.parametrize(
    "method",
    [lambda **o: tiny_model(**ONE_LEVEL, **o), tiny_simplenet, tiny_uniad, mkd],
    ids=["rlr", "simplenet", "uniad", "mkd"],
)


@ONE_PASS
def test_what_was_stored_of_the_former_features_is_forgotten(method, tmp_path):
    model = method()
    model.fit(NORMAL, verbose=0)
    scores(model)
    model.calibrate(NORMAL, 0.5)
    model.adapt(OTHERS)
    assert model.threshold is None
    model.save(tmp_path / "model.keras")
    for forgetful in (model, keras.saving.load_model(tmp_path / "model.keras")):
        with pytest.raises(ValueError, match="Call fit"):
            scores(forgetful)
    model.fit(NORMAL, verbose=0)
    expected = method()
    expected.adapt(OTHERS)
    expected.fit(NORMAL, verbose=0)
    np.testing.assert_allclose(scores(model), scores(expected), rtol=1e-5)


@ONE_PASS
def test_where_features_stay_as_they_are_nothing_is_forgotten(method):
    for adapted_to, options in (
        (NORMAL, {}),
        (OTHERS, {"standardize_features": False}),
    ):
        model = method(**options)
        model.fit(NORMAL, verbose=0)
        model.adapt(NORMAL)
        before = scores(model)
        model.adapt(adapted_to)
        np.testing.assert_array_equal(scores(model), before)


@TRAINED
def test_trained_weights_are_warned_of(method):
    model = method(standardize_features=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.adapt(NORMAL)
        model.adapt(NORMAL)
    with pytest.warns(UserWarning, match="train it again"):
        model.adapt(OTHERS)


@TRAINED
def test_weights_of_features_as_they_are_are_not(method):
    model = method(standardize_features=False)
    model.adapt(NORMAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.adapt(OTHERS)


@pytest.mark.filterwarnings("ignore:The features of this RLR")
@pytest.mark.parametrize("standardize", [True, False])
def test_what_is_usual_of_similar_images_is_forgotten(standardize):
    options = {"coreset_ratio": 0.25, "standardize_features": standardize}
    model = tiny_model(**ONE_LEVEL, **options, similar_images=3)
    model.fit(NORMAL, epochs=1, verbose=0)
    with pytest.warns(UserWarning, match="forgotten which errors are usual"):
        model.adapt(OTHERS)
    # A model that looked at similar images never, with the same weights.
    plain = tiny_model(**ONE_LEVEL, **options)
    plain.adapt(OTHERS)
    names = {weight.path: weight for weight in model.reconstructors[0].weights}
    for weight in plain.reconstructors[0].weights:
        weight.assign(keras.ops.convert_to_numpy(names[weight.path]))
    np.testing.assert_allclose(scores(model), scores(plain), rtol=1e-4)


@ONE_PASS
def test_fit_never_adapts_again(method):
    model = method()
    model.fit(NORMAL, verbose=0)
    before = means(model)
    model.fit(OTHERS, verbose=0)
    for found, mean in zip(means(model), before, strict=True):
        np.testing.assert_array_equal(found, mean)
    assert np.isfinite(scores(model)).all()
