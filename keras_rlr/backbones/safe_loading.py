"""What a model file may not do while it is loaded: reach out of itself."""

from typing import Any

from keras_rlr.backbones.catalogue import CHANNELS, PACKAGED
from keras_rlr.backbones.vision_transformer.settings import CATALOGUE
from keras_rlr.keras_private import is_loading_safely, is_loading_unsafely

# The rooms of Keras and keras-hub that networks and their training are made of. In
# the others there are functions that download, read files or open connections.
PACKAGES = ("keras", "keras_cv", "keras_hub", "keras_nlp")
_ROOMS = (
    "",  # keras.Sequential, keras.DTypePolicy
    "activations",
    "backend",
    "constraints",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "quantizers",
    "random",
    "regularizers",
)
# Keys whose values are words of people, not of Keras.
_FREE_TEXT = ("name", "trained_categories")


class RefusedModelError(ValueError):
    """A model file asks for something outside of itself."""


def refuse_outside_names(config: Any) -> None:
    """Refuses a configuration that names an address or a part that reaches out.

    Args:
        config: A configuration as it stands in a model file: dicts, lists and plain
            values.

    Raises:
        RefusedModelError: If a text in it is an address (`hf://…`, `https://…`), or
            if it names an object of Keras or keras-hub that is no part of a network.
    """
    if is_loading_unsafely():
        return
    if isinstance(config, dict):
        module = str(config.get("module") or "").replace(".src", "", 1)
        package, room = [*module.split("."), ""][:2]
        if package in PACKAGES and room not in _ROOMS:
            is_function = config.get("class_name") == "function"
            name = config.get("config" if is_function else "class_name")
            _refuse(f"'{module}.{name}'", "no part of a network")
        for key, part in config.items():
            if key not in _FREE_TEXT:
                refuse_outside_names(part)
    elif isinstance(config, list | tuple):
        for part in config:
            refuse_outside_names(part)
    elif isinstance(config, str) and "://" in config:
        _refuse(f"'{config}'", "an address")


def refuse_outside_config(config: dict[str, Any]) -> None:
    """Refuses a detector's configuration that reaches out; for its `from_config`.

    Args:
        config: The arguments of the constructor, as they stand in a model file.

    Raises:
        RefusedModelError: If building the detector would download, or read another
            file.
    """
    backbone = config.get("backbone")
    if isinstance(backbone, str):
        weights = config.get("backbone_weights", "imagenet")
        refuse_outside_backbone(backbone, weights)
    refuse_outside_names(config)


def refuse_outside_backbone(backbone: Any, weights: Any) -> None:
    """Refuses a backbone by name whose configuration or weights are not at hand.

    Args:
        backbone: A name of this package's, or anything else.
        weights: `"imagenet"`, None or a path.

    Raises:
        RefusedModelError: If building it would download, or read another file.
    """
    if is_loading_unsafely():
        return
    if backbone not in CHANNELS and backbone not in CATALOGUE:
        _refuse(f"the backbone '{backbone}'", "no backbone of this package")
    if weights is not None and (weights != "imagenet" or backbone not in PACKAGED):
        _refuse(f"the weights '{weights}' of '{backbone}'", "not in the file")


def refuse_outside_backbone_while_loading(backbone: Any, weights: Any) -> None:
    """The same, but only while a model file is loaded in safe mode."""
    if is_loading_safely():
        refuse_outside_backbone(backbone, weights)


def _refuse(what: str, reason: str) -> None:
    raise RefusedModelError(
        f"The model file names {what}, which is {reason}. A file is loaded from itself "
        "alone: nothing is downloaded and no other file is read. Expected a file that "
        "`model.save` or `keras-rlr train` wrote."
    )
