"""The first import of Keras, which takes most of the time that a command starts in."""

import importlib
import os
import sys

from keras_rlr.backend_choice import keras_backend

# In processes that run nothing but this package.
OWN_PROCESS = "KERAS_RLR_OWN_PROCESS"
# For its picture galleries, its reading of pandas' frames, its wrappers for
# scikit-learn, and on every backend for one line on JAX.
_UNUSED = ("jax", "matplotlib", "pandas", "sklearn")


def import_keras() -> None:
    """Imports Keras: where it is asked for, without libraries that nobody will use.

    Keras imports some that are installed whether they are used or not, which takes a
    third of the time; and TensorFlow on every backend, which takes as long again. In a
    process of our own, told by the variable `OWN_PROCESS`, it does not find them.
    Afterwards they can be imported as ever.
    """
    if os.environ.pop(OWN_PROCESS, None) is None:
        return
    unused = {*_UNUSED} - {keras_backend(), *sys.modules}
    # Python's own way of saying that there is no such module.
    sys.modules.update(dict.fromkeys(unused))  # type: ignore[arg-type]
    try:
        keras = importlib.import_module("keras")
    finally:
        for name in unused:
            del sys.modules[name]
    if keras.backend.backend() != "tensorflow":
        from keras_rlr.keras_private import leave_out_tensorflow

        leave_out_tensorflow()
