"""The HTML of a report: a page, its pictures and its tables."""

import base64
import html
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from keras_rlr.evaluation.confusion import COUNTS
from keras_rlr.evaluation.published_results import PUBLISHED, PublishedResults
from keras_rlr.printable import printable

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
h1, h3, figcaption { overflow-wrap: anywhere; }
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


def escaped(text: str) -> str:
    """Text as HTML has it: no markup, and nothing that can't be shown."""
    return html.escape(printable(text, kept="\n"))


def page(title: str, parts: Iterable[str], style: str = "") -> str:
    """The text of a page.

    Args:
        title: Its heading.
        parts: HTML, in order.
        style: CSS beside the page's own.

    Returns:
        The page, which loads nothing from anywhere.
    """
    heading = escaped(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{heading}</h1>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def section(title: str) -> str:
    """A heading."""
    return f"<h2>{escaped(title)}</h2>\n"


def paragraph(text: str, label: bool = False) -> str:
    """A paragraph; `label` makes it stand out."""
    mark = ' class="label"' if label else ""
    return f"<p{mark}>{escaped(text)}</p>\n"


def figure(picture: Picture, **facts: str) -> str:
    """A `Picture`, embedded.

    Args:
        picture: The `Picture`.
        **facts: What scripts may ask of it, as `data-` attributes.
    """
    caption = escaped(picture.caption)
    data = "".join(f' data-{name}="{escaped(text)}"' for name, text in facts.items())
    return (
        f'<figure{data}><img src="{_embedded(picture.image)}" alt="{caption}">'
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


_HEADINGS = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1_max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1_max": "pixel F1-max",
    "pixel_aupro": "pixel AUPRO",
}
_COUNT_HEADINGS = dict(
    zip(
        COUNTS,
        ("anomalous, found", "anomalous, missed", "normal, alarm", "normal, passed"),
        strict=True,
    )
)


def heading(figure: str) -> str:
    """How people write the name of a figure."""
    return _HEADINGS[figure]


def per_cent(value: Any) -> str:
    """A fraction as it is printed: 98.7, or - if it is undefined."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def category_title(result: dict[str, Any], name: str) -> str:
    """How the row of a category is called: what was not trained on is marked.

    Args:
        result: A result of `evaluate_model`.
        name: The category's.
    """
    unseen = name in result.get("unseen_categories", ())
    name = printable(name)
    return f"{name} (not trained on)" if unseen else name


def summary_title(result: dict[str, Any], name: str) -> str:
    """How the row of all categories is called, marked by how many are unseen.

    Args:
        result: A result of `evaluate_model`.
        name: "mean" or "pooled".
    """
    unseen, known = result.get("unseen_categories", ()), result["categories"]
    mark = f" ({len(unseen)} of {len(known)} not trained on)" if unseen else ""
    return name + mark


def results_table(
    result: dict[str, Any], published: PublishedResults | None = None
) -> str:
    """The figures by category, mean and pooled, beside the published ones.

    Args:
        result: A result of `evaluate_model`.
        published: `PublishedResults` to compare with, or None.
    """
    columns = list(result["mean"])
    titles = ["category", *(_HEADINGS[column] for column in columns)]
    if published is not None:
        titles += [f"{published.method}: {_HEADINGS[name]}" for name in PUBLISHED]

    def row(name, figures, printed):
        cells = [per_cent(figures[column]) for column in columns]
        if published is not None:
            cells += [per_cent(printed.get(figure)) for figure in PUBLISHED]
        return [name, *cells]

    printed = {} if published is None else published.categories
    body = [
        row(category_title(result, name), figures, printed.get(name, {}))
        for name, figures in result["categories"].items()
    ]
    # The printed mean is of all categories of the data set, and of no fewer.
    whole = set(printed) == set(result["categories"])
    summary = [
        row(
            summary_title(result, "mean"),
            result["mean"],
            published.mean if published is not None and whole else {},
        ),
        row(summary_title(result, "pooled"), result["pooled"], {}),
    ]
    return table(titles, body, summary)


def confusion_table(
    counts: dict[str, dict[str, int]], thresholds: dict[str, float | None]
) -> str:
    """What the model called right and wrong at its thresholds."""
    titles = ["category", "threshold", *_COUNT_HEADINGS.values()]
    body = [
        [name, f"{thresholds[name]:.4g}", *(str(row[key]) for key in COUNTS)]
        for name, row in counts.items()
    ]
    totals = [str(sum(row[key] for row in counts.values())) for key in COUNTS]
    return table(titles, body, [["all", "", *totals]])


def facts_table(facts: dict[str, Any]) -> str:
    """Names and values, one a row."""
    return table(None, [[name, str(value)] for name, value in facts.items()], [])


def table(
    titles: list[str] | None, body: list[list[str]], summary: list[list[str]]
) -> str:
    """Rows of cells, under titles or none, and rows that sum them up."""
    head = ""
    if titles:
        cells = "".join(f'<th scope="col">{escaped(t)}</th>' for t in titles)
        head = f"<thead><tr>{cells}</tr></thead>\n"
    parts = [f"<tbody>\n{''.join(map(_row, body))}</tbody>\n"]
    if summary:
        parts.append(
            f'<tbody class="summary">\n{"".join(map(_row, summary))}</tbody>\n'
        )
    return f'<div class="wide"><table>\n{head}{"".join(parts)}</table></div>\n'


def _row(cells):
    first, *others = map(escaped, cells)
    values = "".join(f"<td>{cell}</td>" for cell in others)
    return f'<tr><th scope="row">{first}</th>{values}</tr>\n'


def recognition_in_words(evaluation: dict[str, Any]) -> str:
    """How many products were recognised, and what that does to the pooled figures."""
    found = evaluation["recognition"]
    raw = evaluation["pooled_by_anomaly_score"]["image_auroc"]
    shown = "undefined" if math.isnan(raw) else f"{100 * raw:.1f}"
    others = ""
    if found["of_other_products"]:
        others = (
            f" Of {found['of_other_products']} test images of products that the model "
            f"does not recognise, {found['other_products_unknown']} were taken for "
            "none."
        )
    return (
        f"Products recognised: {found['right']} of {found['images']} test images; "
        f"{found['unknown']} taken for none of them.{others} Pooled, images are ranked "
        "by their comparable scores, standardised by normal images of their product; "
        f"by raw scores the image AUROC is {shown}."
    )
