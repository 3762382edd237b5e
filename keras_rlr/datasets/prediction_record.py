"""The hidden file that says which files of a folder a prediction wrote."""

import json
from pathlib import Path

RECORD = ".keras_rlr_predict.json"


def recorded_names(content: bytes) -> list[str]:
    """The files that a record names, as paths below its folder.

    Args:
        content: of the record.

    Raises:
        ValueError: if it is damaged.
    """
    try:
        return [name for name in json.loads(content)["files"] if is_below(name)]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("It is no record of a prediction.") from error


def names_beside(place: str, content: bytes) -> list[str]:
    """As `recorded_names`, for who looks for images.

    Args:
        place: of the record, for messages.
        content: of the record.

    Raises:
        ValueError: if it is damaged.
    """
    try:
        return recorded_names(content)
    except ValueError as error:
        raise ValueError(
            f"'{place}' is damaged, which says what an earlier prediction wrote "
            "there, so overlays would be taken for images. Remove that folder, or "
            "the file alone if no results are there."
        ) from error


def is_below(name: str) -> bool:
    """Whether a name is a path below the record's folder.

    Args:
        name: with forward slashes.
    """
    # What lies elsewhere is never a run's, whatever was edited.
    path = Path(name)
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts
