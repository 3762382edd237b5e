"""Arguments of detectors that are of another kind than their defaults."""

import inspect
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np


class ChecksArguments(keras.Model):
    """A Keras model that refuses arguments of another kind than their defaults.

    Words in place of switches are true in Python, "false" too, and fractions would be
    cut off where numbers are whole.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Refuses arguments before anything is built."""
        parameters: dict[str, inspect.Parameter] = {}
        for base in cls.__mro__[:-1]:
            if issubclass(base, ChecksArguments) and "__init__" in vars(base):
                own = inspect.signature(base).parameters
                parameters = {**own, **parameters}
        names = list(inspect.signature(cls).parameters)
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        defaults = {name: p.default for name, p in parameters.items()}
        refuse_other_kinds(cls.__name__, given, defaults)
        return super().__new__(cls, *args, **kwargs)


def refuse_other_kinds(
    name: str, arguments: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    """Refuses words in place of numbers, numbers in place of switches, and the like.

    Args:
        name: What takes the arguments, for the message.
        arguments: Dict by name.
        defaults: Dict by name of what is taken where nothing is given.

    Raises:
        ValueError: It says what the first wrong argument takes.
    """
    for argument, value in arguments.items():
        default = defaults.get(argument)
        # One number or two, which the class looks at.
        may_be_two = argument == "similar_share" or (
            argument == "image_size" and isinstance(value, list | tuple)
        )
        kind = None if may_be_two else _missed_kind(default, value)
        if kind is not None:
            raise ValueError(
                f"`{argument}` of {name} takes {kind}, by default "
                f"{str(default).lower()}. Received: {value!r}."
            )


def _missed_kind(default: Any, value: Any) -> str | None:
    """What a value should be by the default in its place, if it is not that."""
    is_switch = isinstance(value, bool | np.bool_)
    if isinstance(default, bool):
        return None if is_switch else "true or false"
    is_number = isinstance(value, Real) and not is_switch and math.isfinite(value)
    if isinstance(default, int):
        is_whole = is_number and (isinstance(value, Integral) or value == int(value))
        return None if is_whole else "a whole number"
    if isinstance(default, float):
        return None if is_number else "a number"
    if isinstance(default, tuple):
        kinds = str | list | tuple | set | frozenset | np.ndarray
        return None if isinstance(value, kinds) else "a list"
    return None
