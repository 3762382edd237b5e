"""An HTML page that needs no other file."""

import base64
import html
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
tbody.summary { font-weight: 600; }
.wide { overflow-x: auto; margin: 1rem 0; }
.label { border-left: .4rem solid #d55e00; padding-left: .8rem; font-weight: 600; }
figure { margin: 0 0 1rem; }
figure img { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; }
"""


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Args:
        image: A PIL image, or the text of an SVG one.
        caption: The line below it.
    """

    image: Any
    caption: str


def page(title: str, parts: Iterable[str]) -> str:
    """The text of a page.

    Args:
        title: Its heading.
        parts: HTML, in order.

    Returns:
        The page, which loads nothing from anywhere.
    """
    heading = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{heading}</h1>\n{''.join(parts)}</body>\n</html>\n"
    )


def section(title: str) -> str:
    """A heading."""
    return f"<h2>{html.escape(title)}</h2>\n"


def paragraph(text: str, label: bool = False) -> str:
    """A paragraph; `label` makes it stand out."""
    mark = ' class="label"' if label else ""
    return f"<p{mark}>{html.escape(text)}</p>\n"


def figure(picture: Picture) -> str:
    """A `Picture`, embedded."""
    caption = html.escape(picture.caption)
    return (
        f'<figure><img src="{_embedded(picture.image)}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _embedded(image):
    if isinstance(image, str):
        kind, data = "svg+xml", image.encode("utf-8", "backslashreplace")
    else:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85)
        kind, data = "jpeg", file.getvalue()
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
