"""Files of other versions, of mixed precision and of optimizers of one's own."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

SAVED = Path(__file__).parents[1] / "saved"
# Of one version: see tests/saved/write_methods.py.
METHODS = sorted(file for file in SAVED.glob("*.keras") if file.stem != "rlr_0_1")
IMAGES = random_images(8)


def test_a_file_of_version_0_1_loads():
    model = keras.saving.load_model(SAVED / "rlr_0_1.keras")
    with np.load(SAVED / "rlr_0_1.npz") as expected:
        found = model.predict(random_images(3, seed=5), verbose=0)
        for name in ("anomaly_map", "anomaly_score"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
        assert model.threshold == pytest.approx(float(expected["threshold"]))
        of_bolts = float(expected["category_threshold"])
    assert model.thresholds.by_category == {"bolt": pytest.approx(of_bolts)}
    assert model.pixel_threshold is None
    assert model.trained_categories == ("bolt",)
    assert int(model.optimizer.iterations) == 4


@pytest.mark.parametrize("file", METHODS, ids=lambda file: file.stem)
def test_a_file_that_pytorch_wrote_says_the_same_on_every_backend(file):
    model = keras.saving.load_model(file)
    found = model.predict(random_images(3, seed=5), verbose=0)
    with np.load(file.with_suffix(".npz")) as expected:
        assert found.keys() == set(expected)
        for name in expected:
            np.testing.assert_allclose(
                found[name], expected[name], rtol=1e-4, atol=1e-5
            )


@keras.saving.register_keras_serializable(package="tests")
class OwnOptimizer(keras.optimizers.SGD):
    """A class that only this file knows."""


# A loss scale is that of `mixed_float16` below, on every backend.
@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.01, momentum=0.9),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3)),
        lambda: OwnOptimizer(0.01),
    ],
    ids=["SGD", "LossScaleOptimizer", "OwnOptimizer"],
)
def test_a_model_compiled_by_its_user_goes_on(optimizer, tmp_path):
    model = tiny_model(**ONE_LEVEL)
    model.compile(optimizer())
    _goes_on(model, tmp_path)


@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        pytest.param("mixed_bfloat16", marks=pytest.mark.backend_independent),
    ],
)
def test_a_model_of_mixed_precision_goes_on(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        model = tiny_model(**ONE_LEVEL)
    finally:
        keras.config.set_dtype_policy("float32")
    _goes_on(model, tmp_path)


def _goes_on(model, folder):
    images = {"x": IMAGES, "batch_size": 4, "verbose": 0, "shuffle": False}
    model.fit(**images, epochs=1)
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    scores = [m.predict(IMAGES, verbose=0)["anomaly_score"] for m in (model, loaded)]
    np.testing.assert_array_equal(*scores)
    losses = [m.fit(**images, epochs=1).history["loss"] for m in (model, loaded)]
    np.testing.assert_allclose(*losses, rtol=1e-6)


@pytest.mark.backend_independent
def test_an_unknown_optimizer_does_not_keep_a_model_from_use(tmp_path):
    model = tiny_model(**ONE_LEVEL)

    @keras.saving.register_keras_serializable(package="elsewhere")
    class Unknown(keras.optimizers.Adam):
        pass

    model.compile(Unknown(1e-3))
    model.fit(IMAGES, batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    keras.saving.get_custom_objects().pop("elsewhere>Unknown")
    with pytest.warns(UserWarning, match="can't be made here, Unknown"):
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    scores = [m.predict(IMAGES, verbose=0)["anomaly_score"] for m in (model, loaded)]
    np.testing.assert_array_equal(*scores)
    assert np.isfinite(loaded.fit(IMAGES, epochs=1, verbose=0).history["loss"][0])
