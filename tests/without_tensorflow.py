"""Builds, trains, predicts, saves and loads where TensorFlow is not installed.

    KERAS_BACKEND=jax python tests/without_tensorflow.py FOLDER

For an environment with one other backend alone; `.ci/run` makes it. The model is
loaded in a second process, which must predict the same.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

import keras_rlr


def make_images(count):
    """Textured grey images of random brightness, uint8."""
    generator = np.random.default_rng(0)
    return generator.integers(80, 160, (count, 72, 80, 3)).astype("uint8")


def train_and_save(folder):
    """Trains a small model on the shipped backbone and saves model and outputs."""
    model = keras_rlr.RLR(
        backbone="efficientnet_lite2",
        levels=(2, 3),
        image_size=128,
        hidden_dims=(32, 32),
        windows=(3, 3),
        num_blocks=1,
        standardize_features=True,
        seed=0,
    )
    history = model.fit(make_images(8), epochs=2, batch_size=4, verbose=0)
    assert np.all(np.isfinite(history.history["loss"])), history.history
    outputs = model.predict(make_images(4), verbose=0)
    assert outputs["anomaly_map"].shape == (4, 128, 128)
    assert outputs["anomaly_score"].shape == (4,)
    assert np.all(np.isfinite(outputs["anomaly_map"]))
    model.save(folder / "model.keras")
    np.savez(folder / "outputs.npz", **outputs)


def load_and_compare(folder):
    """Loads what the other process saved and compares every output bit."""
    model = keras.saving.load_model(folder / "model.keras")
    outputs = model.predict(make_images(4), verbose=0)
    with np.load(folder / "outputs.npz") as expected:
        for name in expected.files:
            np.testing.assert_array_equal(outputs[name], expected[name])


def main(arguments):
    """Runs both steps, the second in a fresh process."""
    if arguments[0] == "--load":
        load_and_compare(Path(arguments[1]))
        return
    assert importlib.util.find_spec("tensorflow") is None, "TensorFlow is installed"
    folder = Path(arguments[0])
    folder.mkdir(parents=True)
    train_and_save(folder)
    subprocess.run([sys.executable, __file__, "--load", str(folder)], check=True)
    print(f"Without TensorFlow, on {keras.backend.backend()}: 1 passed, 0 failed")


if __name__ == "__main__":
    main(sys.argv[1:])
