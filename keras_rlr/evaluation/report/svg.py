"""Figures of reports, as the text of SVG pictures."""

import io
from typing import Any

from keras_rlr.printable import printable

# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_STYLES = ("-", "--", ":")


def new_figure(width: float, height: float) -> Any:
    """An empty figure of matplotlib's, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def line_look(number: int) -> dict[str, str]:
    """How the line of a number is drawn: no two of the first 21 look alike."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _STYLES[number // len(COLOURS) % len(_STYLES)],
    }


def add_legend(figure: Any, handles: Any, names: list[str], place: str) -> None:
    """Adds a legend that shows any name as it is.

    Matplotlib leaves out labels that begin with an underscore, and reads what is
    between two dollar signs as a formula; a name that is none would be an error.
    """
    numbers = [str(number) for number in range(len(names))]
    legend = figure.legend(handles, numbers, loc=place, fontsize=9)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        # An SVG file holds no control characters, nor parts of bytes.
        text.set_text(printable(name))


def svg_text(figure: Any) -> str:
    """The text of a figure's picture: the same bytes for the same picture."""
    import matplotlib

    file = io.StringIO()
    # Text as text.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "keras_rlr"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
