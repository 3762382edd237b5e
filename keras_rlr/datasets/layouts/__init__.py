"""The ways that data sets lie on disk."""

from pathlib import Path

from keras_rlr.datasets.layouts import mvtec_layout, plain_layout, visa_layout


class UnknownLayoutError(ValueError):
    """A folder is laid out in none of the known ways."""


def find_layout(path: Path):
    """Tells how a folder is laid out.

    Args:
        path: an existing folder.

    Returns:
        The module of the layout, and a dict of its categories: names and what the
        module's `list_samples` wants to know of each.

    Raises:
        UnknownLayoutError: if it is laid out in none of the known ways.
        ValueError: if it is laid out in one of them, but damaged.
    """
    for layout in (visa_layout, mvtec_layout, plain_layout):
        categories = layout.find_categories(path)
        if categories:
            return layout, categories
    expected = "\n".join(
        f"  {layout.NAME}: {layout.DESCRIPTION}"
        for layout in (mvtec_layout, visa_layout, plain_layout)
    )
    raise UnknownLayoutError(
        f"'{path}' is no data set: neither it nor a folder in it has images in a known "
        f"layout. {_describe(path)} Expected one of:\n{expected}"
    )


def _describe(path: Path) -> str:
    names = sorted(child.name for child in path.iterdir())
    if not names:
        return "It is empty."
    shown = ", ".join(f"'{name}'" for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"It has {shown}{more}."
