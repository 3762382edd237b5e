import html.parser
import math

import numpy as np
import pytest
from PIL import Image

from keras_rlr.evaluation.report import Picture, report_html

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


def make_page():
    image = Image.fromarray(np.zeros((4, 4, 3), "uint8"))
    picture = Picture(image, "<b>&", '"><script>')
    return report_html("<title>", ["a & b"], RESULT, [picture])


def test_the_page_is_well_formed_and_loads_nothing():
    page = Page(make_page())
    assert page.open == []
    assert len(page.addresses) == 1
    assert page.addresses[0].startswith("data:image/jpeg;base64,")


def test_the_table_has_per_cent_and_a_dash_for_what_is_undefined():
    page = Page(make_page())
    assert page.cells == [
        *("category", "image AUROC", "pixel AUROC"),
        *("<b>&", "98.7", "-"),
        *("mean", "98.7", "-"),
        *("pooled", "50.0", "25.0"),
    ]


def test_names_are_escaped():
    text = make_page()
    assert "<script>" not in text
    assert "<title>&lt;title&gt;</title>" in text
