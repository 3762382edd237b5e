"""Methods by the names that the command line and the files of runs give them."""

import difflib
import inspect
from typing import Any

from keras_rlr.detectors.anomaly_detector import AnomalyDetector
from keras_rlr.detectors.argument_kinds import refuse_other_kinds
from keras_rlr.detectors.detector_model import DetectorModel
from keras_rlr.methods.draem.draem import DRAEM
from keras_rlr.methods.mkd import MKD
from keras_rlr.methods.padim import PaDiM
from keras_rlr.methods.patchcore import PatchCore
from keras_rlr.methods.rlr.rlr import RLR
from keras_rlr.methods.simplenet import SimpleNet
from keras_rlr.methods.uniad.uniad import UniAD

# Arguments that a saved model has, and no user gives.
_SET_BY_FIT = ("bank_size", "fitted", "compact")

METHODS: dict[str, type[AnomalyDetector]] = {
    method.__name__.lower(): method
    for method in (RLR, PatchCore, PaDiM, UniAD, SimpleNet, DRAEM, MKD)
}


def method_for(
    method: str | None = None, preset: str | None = None
) -> type[AnomalyDetector]:
    """Returns the class that a user's choice implies.

    Args:
        method: A name in `METHODS`, or None for the preset's.
        preset: The name of a preset, or None.

    Returns:
        The class; RLR where nothing is chosen.

    Raises:
        ValueError: If there is no such method, or no preset of that name.
    """
    for name, value in (("method", method), ("preset", preset)):
        if value is not None and not isinstance(value, str):
            raise ValueError(f"A {name} is a name. Received: {value!r}.")
    if method is not None:
        if method in METHODS:
            return METHODS[method]
        close = difflib.get_close_matches(method.lower(), METHODS, n=1, cutoff=0.5)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ValueError(
            f"Unknown method {method!r}.{hint} Expected one of {', '.join(METHODS)}."
        )
    if preset is None:
        return RLR
    for candidate in METHODS.values():
        if preset in candidate.PRESETS:
            return candidate
    known = [name for candidate in METHODS.values() for name in candidate.PRESETS]
    close = difflib.get_close_matches(preset, known, n=1, cutoff=0.6)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise ValueError(
        f"Unknown preset {preset!r}.{hint} Expected one of {', '.join(known)}."
    )


def takes(method: type[AnomalyDetector], argument: str) -> bool:
    """Whether a method has an argument.

    Args:
        method: The class.
        argument: The argument's name.
    """
    return argument in _arguments(method)


def _arguments(method: type[AnomalyDetector]) -> dict[str, Any]:
    """Arguments of a method and their defaults, those of all detectors last."""
    parameters = {
        **inspect.signature(method).parameters,
        **{
            name: parameter
            for name, parameter in inspect.signature(DetectorModel).parameters.items()
            if name in ("tiles", "overlap", "tiles_aligned", "region_of_interest")
        },
    }
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def check_arguments(method: type[AnomalyDetector], arguments: dict[str, Any]) -> None:
    """Refuses arguments that a method does not have, and words in place of numbers.

    Args:
        method: The class.
        arguments: Dict by name.

    Raises:
        ValueError: It names them, and what the method has.
    """
    taken = _arguments(method)
    unknown = sorted(set(arguments) - {*taken, "dtype"})
    if unknown:
        raise ValueError(
            f"{method.__name__} has no {', '.join(map(repr, unknown))}. It takes "
            f"{', '.join(name for name in taken if name not in _SET_BY_FIT)}."
        )
    name = arguments.get("backbone")
    if "backbone" in arguments and not isinstance(name, str):
        raise ValueError(
            f"`backbone` of {method.__name__} takes a name. Received: {name!r}."
        )
    refuse_other_kinds(method.__name__, arguments, taken)
