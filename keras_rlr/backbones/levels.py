"""Levels as users name them: maps of a pyramid, blocks, or groups of blocks."""

from collections.abc import Iterable
from typing import Any

import numpy as np

Level = int | tuple[int, ...]


def resolve_levels(levels: Any) -> tuple[Level, ...]:
    """Returns the levels as a tuple; the backbone says later which it has.

    Args:
        levels: An integer or several; of a vision transformer also tuples of them.

    Raises:
        ValueError: If there are none.
    """
    resolved = tuple(_resolve_level(level) for level in _listed(levels))
    if not resolved or () in resolved:
        raise ValueError(
            "`levels` must be one or more integers, or groups of them. Received "
            f"{levels!r}; the paper's model has levels=(1, 2, 3)."
        )
    return resolved


def _resolve_level(level: Any) -> Level:
    blocks = tuple(_whole(block) for block in _listed(level))
    return blocks[0] if len(blocks) == 1 else blocks


def _whole(block: Any) -> int:
    try:
        number = int(block)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (number != block and not isinstance(block, str)):
        raise ValueError(f"A level is a whole number. Received: {block!r}.")
    return number


def _listed(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    is_one = isinstance(value, str) or not isinstance(value, Iterable)
    return [value] if is_one else list(value)


def level_name(level: Level) -> str:
    """Returns what parts of a model that belong to a level are called by."""
    return "_".join(map(str, level)) if isinstance(level, tuple) else str(level)


def level_text(level: Any) -> str:
    """Returns a level as the command line takes it: 3, 3-6, or 5+7+9.

    Args:
        level: A level, or what JSON makes of one.
    """
    blocks = _listed(level)
    first, last = blocks[0], blocks[-1]
    if len(blocks) > 2 and blocks == list(range(first, last + 1)):
        return f"{first}-{last}"
    return "+".join(map(str, blocks))
