"""Docstrings as the documentation site shows them; an extension of griffe.

Examples of docstrings are doctests that stand below "Example:" and are not indented, as
Keras has them. Markdown would take `>>>` for quotations.
"""

import griffe

_TITLES = {"Example:": "**Example**", "Call arguments:": "Other Args: Call arguments:"}


class DoctestFences(griffe.Extension):
    """Puts doctests into fences, and gives Keras' headings those that griffe knows."""

    def on_instance(self, *, obj, **kwargs):
        """Changes the docstring of an object that was read.

        Args:
            obj: What griffe read.
            **kwargs: Of no use here.
        """
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text):
    """A docstring with its doctests in fences, and headings that griffe knows.

    Args:
        text: The docstring.
    """
    lines, inside = [], False
    for line in text.splitlines():
        if line.startswith(">>>") and not inside:
            lines.append("```pycon")
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(_TITLES.get(line, line))
    return "\n".join([*lines, "```"] if inside else lines)
