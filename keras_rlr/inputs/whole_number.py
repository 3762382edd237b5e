from numbers import Integral
from typing import Any


def checked_whole_number(
    name: str, value: Any, of: str, least: int = 1, otherwise: str = ""
) -> int:
    """Returns a number of things as an int.

    Args:
        name: The argument's name, for the message.
        value: What the user gave; None is no number.
        of: What it counts, for the message.
        least: The smallest that is possible.
        otherwise: What else the argument may be, for the message.

    Raises:
        ValueError: If it is no whole number, or too small.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise ValueError(
            f"`{name}` must be a whole number of {of}, at least {least}{otherwise}. "
            f"Received: {value!r}."
        )
    return int(value)
