import importlib.metadata
import platform
from typing import Any

import keras

import keras_rlr
from keras_rlr.devices import device_names

_PACKAGES = (
    *("keras", "numpy", "tensorflow", "jax", "jaxlib", "torch", "keras-hub"),
    *("Pillow", "scipy"),
)


def describe_environment() -> dict[str, Any]:
    """What a run depends on besides its settings and data.

    Returns:
        Dict for a JSON file: versions of Python and of the packages that are
        installed, the system, the backend, the devices it computes on and its
        precision.
    """
    versions: dict[str, str | None] = {"keras-rlr": keras_rlr.__version__}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "backend": keras.backend.backend(),
        "devices": device_names(),
        "dtype_policy": keras.config.dtype_policy().name,
        "packages": versions,
    }
