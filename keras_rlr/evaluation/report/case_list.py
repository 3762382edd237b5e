"""What a reader does with the cases of a report: filter them, look at them closely."""

from collections.abc import Iterable
from importlib.resources import files

from keras_rlr.evaluation.report.cases import ALARM, FOUND, MISSED, PASSED
from keras_rlr.evaluation.report.page import escaped

_DECISIONS = {
    "": "all",
    f"{MISSED},{ALARM}": "errors",
    MISSED: "anomalous, missed",
    ALARM: "normal, alarm",
    FOUND: "anomalous, found",
    PASSED: "normal, passed",
}
_FOLDER = files("keras_rlr.evaluation.report")


def case_filter(categories: Iterable[str], has_decisions: bool) -> str:
    """The controls above the cases; hidden where the page's script does not run.

    Args:
        categories: Names of categories.
        has_decisions: Whether cases were decided by a threshold.
    """
    names = {"": "all", **{name: name for name in categories}}
    choices = [_choice("category", "Category", names)]
    if has_decisions:
        choices.append(_choice("decision", "Decision", _DECISIONS))
    return (
        f'<form id="filter" hidden>{"".join(choices)}'
        '<output id="count" aria-live="polite"></output></form>\n'
    )


def case_style() -> str:
    """The CSS of both."""
    return (_FOLDER / "cases.css").read_text("utf-8")


def case_viewer() -> str:
    """The window that shows a case as large as it is, and the script of both."""
    script = (_FOLDER / "cases.js").read_text("utf-8")
    return (
        '<dialog id="viewer" aria-labelledby="caption"><div class="bar">'
        '<button type="button" id="previous">← Previous</button>'
        '<button type="button" id="next">Next →</button>'
        '<button type="button" id="size" aria-pressed="false">Full size (F)</button>'
        '<button type="button" id="close">Close (Esc)</button></div>'
        '<p id="caption" aria-live="polite"></p>'
        '<div id="picture" tabindex="0" role="group" aria-label="Picture"></div>'
        f"</dialog>\n<script>\n{script}</script>\n"
    )


def _choice(name, title, options):
    entries = "".join(
        f'<option value="{escaped(value)}">{escaped(words)}</option>'
        for value, words in options.items()
    )
    return f'<label>{title} <select id="{name}">{entries}</select></label>\n'
