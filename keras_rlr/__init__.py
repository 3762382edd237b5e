"""Multi-class visual anomaly detection for Keras 3 by the RLR method."""

import importlib
from typing import Any

from keras_rlr.backend_choice import choose_backend
from keras_rlr.keras_import import import_keras

# Keras takes its backend when it is first imported, TensorFlow unless told otherwise,
# be it installed or not.
choose_backend()
import_keras()

from keras_rlr import layers, losses, metrics  # noqa: E402
from keras_rlr.detectors.feature_cache import FeatureCache  # noqa: E402
from keras_rlr.detectors.feature_decoder import FeatureDecoder  # noqa: E402
from keras_rlr.methods.draem.draem import DRAEM  # noqa: E402
from keras_rlr.methods.mkd import MKD  # noqa: E402
from keras_rlr.methods.padim import PaDiM  # noqa: E402
from keras_rlr.methods.patchcore import PatchCore  # noqa: E402
from keras_rlr.methods.rlr.feature_reconstructor import FeatureReconstructor  # noqa: E402
from keras_rlr.methods.rlr.import_torch_checkpoint import (  # noqa: E402
    import_torch_checkpoint,
)
from keras_rlr.methods.rlr.rlr import RLR  # noqa: E402
from keras_rlr.methods.simplenet import SimpleNet  # noqa: E402
from keras_rlr.methods.uniad.uniad import UniAD  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "DRAEM",
    "MKD",
    "RLR",
    "FeatureCache",
    "FeatureDecoder",
    "FeatureReconstructor",
    "PaDiM",
    "PatchCore",
    "SimpleNet",
    "UniAD",
    "__version__",
    "import_torch_checkpoint",
    "layers",
    "losses",
    "metrics",
    "regions",
]

# Imported when they are first asked for: they need Pillow, SciPy and others, and time.
_ROOMS = (
    "app",
    "backbones",
    "batch",
    "datasets",
    "detectors",
    "evaluation",
    "export",
    "inputs",
    "methods",
    "models",
    "training",
)
# The same of functions, and where they are.
_FUNCTIONS = {"regions": "keras_rlr.evaluation.regions"}


def __getattr__(name: str) -> Any:
    """Imports a room of the package: `keras_rlr.evaluation` needs no import of its own.

    Args:
        name: The attribute that the package does not have yet.
    """
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        found = getattr(importlib.import_module(_FUNCTIONS[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_FUNCTIONS})
