"""Texts that may hold names of files, for consoles and tables."""


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
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text
    )
