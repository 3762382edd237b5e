import importlib.metadata
import platform

import keras

import keras_rlr

_PACKAGES = ("keras", "numpy", "tensorflow", "jax", "jaxlib", "torch", "keras-hub")


def describe_environment():
    """What a run depends on besides its settings and data.

    Returns:
        Dict for a JSON file: versions of Python and of the packages that are
        installed, the system, the backend and its precision.
    """
    versions = {"keras-rlr": keras_rlr.__version__}
    for name in (*_PACKAGES, "Pillow", "scipy"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "backend": keras.backend.backend(),
        "dtype_policy": keras.config.dtype_policy().name,
        "packages": versions,
    }
