"""The ways that data sets lie on disk."""

from typing import Any

from keras_rlr.datasets.folder import Folder
from keras_rlr.datasets.layouts import (
    kolektor_layout,
    mvtec_layout,
    plain_layout,
    visa_layout,
)
from keras_rlr.printable import name_some

# The first one that is found is used.
_LAYOUTS: tuple[Any, ...] = (visa_layout, mvtec_layout, plain_layout, kolektor_layout)


class UnknownLayoutError(ValueError):
    """A folder is laid out in none of the known ways."""


def find_layout(root: Folder) -> tuple[Any, dict[str, Any], list[str]]:
    """Tells how a folder is laid out.

    Args:
        root: the folder.

    Returns:
        The module of the layout; a dict of its categories: names and what the
        module's `read_category` wants to know of each; and warnings, if there are
        other layouts too.

    Raises:
        UnknownLayoutError: if it is laid out in none of the known ways.
        ValueError: if it is laid out in one of them, but damaged.
    """
    for i, layout in enumerate(_LAYOUTS):
        categories = layout.find_categories(root)
        if categories:
            return layout, categories, _others(root, layout, categories, i + 1)
    expected = "\n".join(
        f"  {layout.NAME}: {layout.DESCRIPTION}"
        for layout in (mvtec_layout, visa_layout, plain_layout, kolektor_layout)
    )
    raise UnknownLayoutError(
        f"'{root.path}' is no data set: neither it nor a folder in it has images in a "
        f"known layout. {_describe(root)} Expected one of:\n{expected}"
    )


def _others(root: Folder, used, categories: dict[str, Any], start: int) -> list[str]:
    warnings = []
    places = [f.path for f in categories.values() if isinstance(f, Folder)]
    for layout in _LAYOUTS[start:]:
        if layout is kolektor_layout:
            continue  # masks beside images are found in other layouts too
        found = layout.find_categories(root)
        other = [
            name
            for name, folder in found.items()
            if not any(place in folder.path.parents for place in places)
        ]
        if other:
            warnings.append(
                f"'{root.path}' has two layouts: {used.NAME}, which is used, because "
                f"{used.WHY}, and {layout.NAME} ({', '.join(other)}), which is left "
                "out. Move one of them to a folder of its own."
            )
    return warnings


def _describe(root: Folder) -> str:
    names = sorted(child.name for child in root.path.iterdir())
    if not names:
        return "It is empty."
    quoted = (f"'{name}'" for name in names)
    return f"It has {name_some(quoted, 5)}."
