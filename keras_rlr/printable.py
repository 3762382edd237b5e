"""Texts that may hold names of files, for consoles and tables."""

from collections.abc import Iterable


def printable(text: str, kept: str = "") -> str:
    r"""A text without characters that a terminal would obey or that have no bytes.

    Names of files may hold anything but a slash: codes that clear the screen, the end
    of the line, bytes that are no UTF-8. They are shown as escapes.

    Args:
        text: The text.
        kept: Characters that stay as they are, such as ends of lines.

    Example:

    >>> printable("red \x1b[31m")
    'red \\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else _escaped(c) for c in text)


def name_some(names: Iterable[str], most: int) -> str:
    """The first names, and how many more there are; printable whatever they hold."""
    names = list(names)
    shown = ", ".join(printable(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _escaped(character: str) -> str:
    # Python has bytes that are no UTF-8 as these.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return repr(character)[1:-1]
