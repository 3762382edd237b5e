"""Docstrings as the documentation site shows them; an extension of griffe.

Examples of docstrings are doctests that stand below "Example:" and are not indented, as
Keras has them. Markdown would take `>>>` for quotations.
"""

import griffe


class DoctestFences(griffe.Extension):
    """Puts doctests into fences."""

    def on_instance(self, *, obj, **kwargs):
        """Changes the docstring of an object that was read.

        Args:
            obj: What griffe read.
            **kwargs: Of no use here.
        """
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text):
    """A docstring with its doctests in fences, and its examples under a heading.

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
        lines.append("**Example**" if line == "Example:" else line)
    return "\n".join([*lines, "```"] if inside else lines)
