"""Names of categories that come from elsewhere: from folders, tables and commands."""

import unicodedata
from collections.abc import Collection, Iterable


def known_name(name: str, known: Collection[str]) -> str | None:
    """The one of the known names that a name is, in whichever form of Unicode.

    A ü is one character or a u with a diaeresis: macOS, archives and network drives
    turn one into the other, and nobody sees it.

    Args:
        name: The name.
        known: Names of categories.

    Returns:
        The name as it is known, or None.
    """
    if name in known:
        return name
    if name.isascii():
        return None
    form = unicodedata.normalize("NFC", name)
    return next((k for k in known if unicodedata.normalize("NFC", k) == form), None)


def known_names(
    names: Iterable[str | None], known: Collection[str] = ()
) -> list[str | None]:
    """Returns names as they are known, or as the first of them that is the same.

    Args:
        names: The names; None stays None.
        known: Names of categories.
    """
    names, forms = list(names), list(known)
    found: dict[str, str] = {}
    for name in dict.fromkeys(name for name in names if name is not None):
        found[name] = known_name(name, forms) or name
        if found[name] is name:
            forms.append(name)
    return [None if name is None else found[name] for name in names]
