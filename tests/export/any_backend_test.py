"""Exports are written on TensorFlow, whichever the backend of the model is."""

import json

import keras
import numpy as np
import pytest

from tests.export.run_alone import assert_same, run_alone
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model


@pytest.fixture(scope="module")
def model():
    model = tiny_model(standardize_features=True, **ONE_LEVEL)
    model.adapt(random_images(12, seed=3))
    model.calibrate(random_images(20, seed=4), false_positive_rate=0.3)
    return model


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow",
    reason="its own models are exported in export_model_test.py",
)
def test_saved_model(model, tmp_path):
    name = keras.backend.backend()
    path = tmp_path / "serving" / "1"
    manifest = model.export(path)
    assert keras.backend.backend() == name
    assert manifest == json.loads((path / "manifest.json").read_text())
    assert set(manifest["comparison"]) == {"serving_default", "serve_bytes"}
    batches = [random_images(3, *size, seed=6) for size in ((45, 70), (1, 1))]
    found = run_alone(
        "saved_model", path, [b.astype("float32") for b in batches], tmp_path
    )
    expected = [model.predict(images, verbose=0) for images in batches]
    assert_same(found, {k: np.concatenate([e[k] for e in expected]) for k in found})
    for name, file in manifest["files"].items():
        assert (path / name).stat().st_size == file["bytes"]


@pytest.mark.backend_independent  # of the two that are not TensorFlow, on PyTorch
def test_another_format(model, tmp_path):
    name = keras.backend.backend()
    model.export(tmp_path / "m.onnx", format="onnx")
    assert keras.backend.backend() == name
    assert {path.name for path in tmp_path.iterdir()} == {
        "m.onnx",
        "m.onnx.manifest.json",
    }
