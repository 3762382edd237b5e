"""Saved models: in fresh processes, in safe mode, on every backend."""

import functools
import json

import keras
import numpy as np
import pytest

from tests.fresh_process import run_fresh
from tests.tiny_model import ONE_LEVEL, fit_losses, random_images, tiny_model

# A fresh process, which the tests' settings don't reach, has the same bits.
pytestmark = pytest.mark.optimized

BACKENDS = ("tensorflow", "jax", "torch")
LOAD = """
import json, sys, warnings
import keras, keras_rlr
import numpy as np

warnings.simplefilter("error", UserWarning)
model = keras.saving.load_model(sys.argv[1])
outputs = model.predict(np.load(sys.argv[2]), verbose=0)
np.savez(sys.argv[3], **outputs)
print(json.dumps({
    "backend": keras.backend.backend(),
    "losses": model.fit(np.load(sys.argv[2]), epochs=3, initial_epoch=2, batch_size=3,
                        verbose=0).history["loss"],
}))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A trained model's file, images, its outputs and the loss of one more epoch."""
    folder = tmp_path_factory.mktemp("saved")
    images = random_images(6, 50, 44)
    model = tiny_model(
        standardize_features=True,
        cosine_damping=0.3,
        reference_tokens=2,
        reference_start="samples",
        augmentation=("flip", "rotate"),
        **ONE_LEVEL,
    )
    fit_losses(model, images, epochs=2, batch_size=3)
    model.calibrate(images, 0.5)
    model.save(folder / "model.keras")
    np.save(folder / "images.npy", images)
    outputs = model.predict(images, verbose=0)
    losses = fit_losses(model, images, epochs=3, initial_epoch=2, batch_size=3)
    return folder, outputs, losses


def load_in_fresh_process(folder, backend):
    paths = [folder / name for name in ("model.keras", "images.npy", "out.npz")]
    result = run_fresh(LOAD, *paths, backend=backend)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["backend"] == backend
    with np.load(folder / "out.npz") as arrays:
        return dict(arrays), report["losses"]


@pytest.fixture(scope="module")
def loaded_by(saved):
    """What a backend makes of the file: `loaded_by(backend)`, in one process each."""
    return functools.cache(lambda backend: load_in_fresh_process(saved[0], backend))


def test_a_fresh_process_gives_the_same_bits(saved, loaded_by):
    _, outputs, losses = saved
    loaded, more = loaded_by(keras.backend.backend())
    assert sorted(loaded) == ["anomaly_map", "anomaly_score", "is_anomalous"]
    for name, value in outputs.items():
        np.testing.assert_array_equal(loaded[name], value)
    np.testing.assert_allclose(more, losses, rtol=1e-6)


@pytest.mark.backend_independent
@pytest.mark.parametrize("backend", BACKENDS)
def test_other_backends_load_it_and_agree(saved, loaded_by, backend):
    _, outputs, losses = saved
    loaded, more = loaded_by(backend)
    for name in ("anomaly_map", "anomaly_score"):
        largest = np.max(np.abs(outputs[name]))
        assert np.max(np.abs(loaded[name] - outputs[name])) <= 1e-4 * largest
    np.testing.assert_allclose(more, losses, rtol=1e-4)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_the_backbone_computes_as_its_model_does(dtype, tmp_path):
    """Whatever Keras' own policy is where either is built or loaded."""
    options = {"backbone": "efficientnet_lite2", "levels": (3,), "windows": (3,)}
    options.update(image_size=64, hidden_dims=(16,), dtype=dtype)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tiny_model(**options)
    finally:
        keras.config.set_dtype_policy(before)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        layers = each.feature_extractor.backbone.layers
        wanted = dtype or "mixed_bfloat16"
        assert {layer.dtype_policy.name for layer in layers} == {wanted}
    images = random_images(2)
    wanted, found = (m.predict(images, verbose=0) for m in (model, loaded))
    np.testing.assert_array_equal(found["anomaly_map"], wanted["anomaly_map"])


@pytest.mark.backend_independent
def test_a_model_saved_before_training_loads_without_a_warning(tmp_path, recwarn):
    tiny_model().save(tmp_path / "model.keras")
    keras.saving.load_model(tmp_path / "model.keras")
    assert not [w for w in recwarn if "optimizer" in str(w.message)]


@pytest.mark.backend_independent
def test_another_optimizer_is_saved(tmp_path):
    model = tiny_model(**ONE_LEVEL)
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.5))
    fit_losses(model, random_images(2), epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, keras.optimizers.SGD)
    assert loaded.optimizer.momentum == 0.5
    assert int(loaded.optimizer.iterations) == 1


def test_masks_and_position_codes_are_not_stored(tmp_path):
    """A file holds the weights and little else: no N x N mask, no index table."""
    model = tiny_model(noise_scale=0.0)
    model.save(tmp_path / "model.keras")
    weights = sum(int(np.prod(w.shape)) * 4 for w in model.weights)
    assert (tmp_path / "model.keras").stat().st_size < weights + 400_000
    names = {w.path.split("/")[-1] for w in model.weights}
    assert names == {
        *("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"),
        *("reference", "mean", "variance", "adapted", "threshold"),
    }
