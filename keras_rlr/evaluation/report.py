"""A page with results and pictures that needs no other file."""

import base64
import html
import io
import math
from dataclasses import dataclass
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
table { border-collapse: collapse; }
th, td { padding: .3rem .9rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
tbody.summary { font-weight: 600; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 20rem; }
figure img { width: 100%; height: auto; }
figcaption { font-size: .85rem; }
"""


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Args:
        image: A PIL image.
        category: The heading it comes under.
        caption: The line below it.
    """

    image: Any
    category: str
    caption: str


def report_html(title, facts, result, pictures):
    """The text of an HTML page with a table of results and pictures.

    Args:
        title: Its heading.
        facts: Paragraphs before the table.
        result: A result of `evaluate_model`.
        pictures: `Picture`s, in order; they are embedded.

    Returns:
        The page, which loads nothing from anywhere.
    """
    heading = html.escape(title)
    paragraphs = "".join(f"<p>{html.escape(fact)}</p>\n" for fact in facts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{heading}</h1>\n{paragraphs}{_table(result)}{_gallery(pictures)}"
        "</body>\n</html>\n"
    )


def _table(result):
    columns = list(result["mean"])
    head = "".join(
        f'<th scope="col">{html.escape(name.replace("_auroc", " AUROC"))}</th>'
        for name in columns
    )

    def row(name, figures):
        cells = "".join(
            f"<td>{'-' if math.isnan(value) else f'{100 * value:.1f}'}</td>"
            for value in (figures[name] for name in columns)
        )
        return f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>\n'

    categories = "".join(row(*item) for item in result["categories"].items())
    summary = "".join(row(name, result[name]) for name in ("mean", "pooled"))
    return (
        f'<table>\n<thead><tr><th scope="col">category</th>{head}</tr></thead>\n'
        f'<tbody>\n{categories}</tbody>\n<tbody class="summary">\n{summary}</tbody>\n'
        "</table>\n"
    )


def _gallery(pictures):
    parts = []
    for category in dict.fromkeys(picture.category for picture in pictures):
        figures = "".join(
            f'<figure><img src="{_embedded(p.image)}" alt="{html.escape(p.caption)}">'
            f"<figcaption>{html.escape(p.caption)}</figcaption></figure>\n"
            for p in pictures
            if p.category == category
        )
        parts.append(
            f"<h2>{html.escape(category)}</h2>\n"
            f'<div class="pictures">\n{figures}</div>\n'
        )
    return "".join(parts)


def _embedded(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
