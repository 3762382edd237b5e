import html.parser
import math

import numpy as np
import pytest
from PIL import Image

from keras_rlr.evaluation.confusion import COUNTS
from keras_rlr.evaluation.published_results import PublishedResults
from keras_rlr.evaluation.report.page import (
    Picture,
    confusion_table,
    figure,
    page,
    paragraph,
    results_table,
)

pytestmark = pytest.mark.backend_independent

RESULT = {
    "categories": {"<b>&": {"image_auroc": 0.987, "pixel_auroc": math.nan}},
    "mean": {"image_auroc": 0.987, "pixel_auroc": math.nan},
    "pooled": {"image_auroc": 0.5, "pixel_auroc": 0.25},
}


class Page(html.parser.HTMLParser):
    """Collects cells and addresses, and checks that tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.addresses = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


PUBLISHED = PublishedResults(
    "Set", "RLR", {"<b>&": {"image_auroc": 0.9, "pixel_auroc": 0.8}}, {}
)


def make_page(published=None):
    image = Image.fromarray(np.zeros((4, 4, 3), "uint8"))
    return page(
        "<title>",
        [
            paragraph("a & b", label=True),
            results_table(RESULT, published),
            figure(Picture(image, '"><script>')),
            figure(Picture("<svg></svg>", "a curve")),
        ],
    )


def test_the_page_is_well_formed_and_loads_nothing():
    found = Page(make_page())
    assert found.open == []
    kinds = [address.split(";")[0] for address in found.addresses]
    assert kinds == ["data:image/jpeg", "data:image/svg+xml"]


def test_the_table_has_per_cent_and_a_dash_for_what_is_undefined():
    found = Page(make_page())
    assert found.cells == [
        *("category", "image AUROC", "pixel AUROC"),
        *("<b>&", "98.7", "-"),
        *("mean", "98.7", "-"),
        *("pooled", "50.0", "25.0"),
    ]


def test_published_figures_stand_beside_ours():
    found = Page(make_page(PUBLISHED))
    assert found.cells[3:5] == ["RLR: image AUROC", "RLR: pixel AUROC"]
    assert found.cells[5:10] == ["<b>&", "98.7", "-", "90.0", "80.0"]


def test_the_confusion_table_adds_up():
    counts = {
        "a": dict(zip(COUNTS, (1, 2, 3, 4), strict=True)),
        "b": dict(zip(COUNTS, (10, 20, 30, 40), strict=True)),
    }
    cells = Page(page("", [confusion_table(counts, {"a": 0.5, "b": 1.25})])).cells
    assert cells[6:12] == ["a", "0.5", "1", "2", "3", "4"]
    assert cells[18:] == ["all", "", "11", "22", "33", "44"]


def test_names_are_escaped():
    text = make_page()
    assert "<script>" not in text
    assert "<title>&lt;title&gt;</title>" in text
