"""Numbers that a user gives are looked at before they are used."""

import math
import numbers
from typing import Any

# Channels and layers that no network here has use for.
MOST_CHANNELS, MOST_LAYERS = 2**14, 100


def whole_number(
    name: str,
    value: Any,
    least: int,
    most: int = 2**31 - 1,
    of: str = "",
    otherwise: str = "",
) -> int:
    """Returns a number as an int; 1e5 is one, 2.5 is not cut to 2.

    Args:
        name: What the user calls it.
        value: What was given.
        least: The smallest that is possible.
        most: The largest.
        of: What it counts, for the message.
        otherwise: What else the user may give, for the message.

    Raises:
        ValueError: If it is no whole number of that range.
    """
    # NaN is in no range, and infinity beyond the largest.
    if _is_number(value) and least <= value <= most and value == int(value):
        return int(value)
    counts = f" of {of}" if of else ""
    raise ValueError(
        f"`{name}` must be a whole number{counts} from {least} to {most}{otherwise}. "
        f"Received: {value!r}."
    )


def finite_number(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    with_least: bool = True,
) -> float:
    """Returns a number as a float.

    Args:
        name: What the user calls it.
        value: What was given.
        least: The smallest that is possible.
        most: The largest.
        with_least: Whether `least` itself is possible.

    Raises:
        ValueError: If it is no finite number of that range.
    """
    if _is_number(value) and math.isfinite(value):
        is_enough = value >= least if with_least else value > least
        if is_enough and value <= most:
            return float(value)
    lower = "" if least == -math.inf else f" {_LOWER[with_least]} {least:g}"
    upper = "" if most == math.inf else f"{' and' if lower else ''} at most {most:g}"
    raise ValueError(
        f"`{name}` must be a finite number{lower}{upper}. Received: {value!r}."
    )


_LOWER = {True: "of at least", False: "above"}


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
