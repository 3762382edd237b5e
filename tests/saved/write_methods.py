"""Writes a small file of every method, and what it says of some images.

    KERAS_BACKEND=torch python -m tests.saved.write_methods

Other backends and later versions are to read them and say the same. Run it when a file
is to be of a new kind, and keep the old one under its version's name.
"""

from pathlib import Path

import numpy as np

from keras_rlr.detectors.save_model import save_without_optimizer
from tests.detectors import contract
from tests.methods.contract_test import METHODS
from tests.tiny_model import random_images

FOLDER = Path(__file__).parent

if __name__ == "__main__":
    for name, make in METHODS.items():
        detector = contract.trained(make)
        save_without_optimizer(detector, FOLDER / f"{name.lower()}.keras")
        said = detector.predict(random_images(3, seed=5), verbose=0)
        np.savez_compressed(FOLDER / f"{name.lower()}.npz", **said)
