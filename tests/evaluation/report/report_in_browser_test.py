"""The report of a real evaluation, in a browser that is cut off from networks."""

import base64
import json

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from keras_rlr.datasets import FolderDataset, write_procedural_dataset
from keras_rlr.evaluation.describe_evaluation import describe_evaluation
from keras_rlr.evaluation.evaluate_model import measure
from keras_rlr.evaluation.report.cases import (
    ALARM,
    MISSED,
    choose_cases,
    errors_shown,
)
from keras_rlr.evaluation.test_predictions import predict_test_set
from keras_rlr.evaluation.write_evaluation import write_evaluation
from tests.browser import faint_text, needs_browser, open_browser, unnamed, wait
from tests.tiny_model import tiny_model

pytestmark = [pytest.mark.backend_independent, needs_browser]

# Runs in a copy of the page and leaves what it saw in the document.
PROBE = """<script>addEventListener("load", () => {
  const images = [...document.images];
  const seen = {
    images: images.length,
    broken: images.filter(i => !i.complete || !i.naturalWidth).length,
    loaded: performance.getEntriesByType("resource")
      .map(r => r.name).filter(n => !n.startsWith("data:")),
    overflow: document.documentElement.scrollWidth - innerWidth,
    headings: [...document.querySelectorAll("h1, h2, h3")].map(h => h.innerText),
    rows: [...document.querySelectorAll("table")].map(t => t.rows.length),
    cell: document.querySelector("tbody td").innerText,
  };
  document.body.dataset.seen = btoa(unescape(encodeURIComponent(JSON.stringify(seen))));
})</script></body>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    data = write_procedural_dataset(
        root / "data",
        image_size=64,
        train_per_category=12,
        test_normal=3,
        test_anomalous=4,
        categories=["gear", "wood"],
    )
    model = tiny_model()
    model.calibrate(FolderDataset(data), false_positive_rate=0.1)
    test = FolderDataset(data, "test")
    predictions = predict_test_set(model, test)
    result = measure(predictions)
    evaluation = describe_evaluation(model, test, predictions, result)
    title = "A <model> & its data"
    write_evaluation(root / "out", title, model, test, predictions, evaluation)
    cases = [
        case.decision
        for name in predictions.names
        for case in choose_cases(
            predictions, name, 1, evaluation["thresholds"][name], errors_shown(2)
        )
    ]
    return root / "out" / "report.html", result, cases


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@pytest.fixture
def browse(one_browser):
    """Shows a page in a window of some size."""

    def show(page, width, height):
        one_browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        one_browser.get(page.as_uri())
        return one_browser

    return show


@pytest.mark.parametrize("width", [1280, 500])
def test_everything_is_there_and_nothing_is_loaded(report, browse, tmp_path, width):
    page, result, cases = report
    copy = tmp_path / "copy.html"
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", PROBE), encoding="utf-8")
    browser = browse(copy, width, 900)
    script = "return document.body.dataset.seen"
    found = wait(browser, lambda: browser.execute_script(script))
    seen = json.loads(base64.b64decode(found))
    # Two pictures of curves, one of histograms, four cases and more of each category.
    assert seen["images"] == 3 + len(cases)
    assert len(cases) >= 8
    assert seen["broken"] == 0
    assert seen["loaded"] == []
    assert seen["overflow"] <= 0
    assert seen["headings"] == [
        *("A <model> & its data", "Decisions at the threshold", "Curves", "Scores"),
        *("Worst and best cases", "gear", "wood", "What was used"),
    ]
    assert seen["rows"][:2] == [5, 4]
    gear = result["categories"]["gear"]["image_auroc"]
    assert seen["cell"] == f"{100 * gear:.1f}"


def test_it_looks_like_something(report, browse, tmp_path):
    file = tmp_path / "page.png"
    assert browse(report[0], 1280, 3000).save_screenshot(file)
    pixels = np.asarray(Image.open(file).convert("RGB"))
    assert pixels.shape == (3000, 1280, 3)
    # Text and pictures on white, down to where the cases are.
    for part in np.split(pixels, 6)[:5]:
        share = (part < 200).any(-1).mean()
        assert 0.005 < share < 0.9
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000


def test_cases_are_filtered_and_looked_at_by_keyboard(report, browse):
    page, _, cases = report
    browser = browse(page, 1200, 1400)

    def find(name):
        return browser.find_element(By.ID, name)

    def shown():
        figures = browser.find_elements(By.CSS_SELECTOR, "figure[data-category]")
        return [figure for figure in figures if figure.is_displayed()]

    assert find("count").text == f"{len(cases)} of {len(cases)} cases"
    Select(find("decision")).select_by_visible_text("errors")
    wrong = [decision for decision in cases if decision in (ALARM, MISSED)]
    assert wrong, "a tiny model that was never trained is wrong somewhere"
    assert len(shown()) == len(wrong)
    Select(find("decision")).select_by_visible_text("all")
    Select(find("category")).select_by_visible_text("wood")
    figures = shown()
    assert {f.get_attribute("data-category") for f in figures} == {"wood"}
    headings = browser.find_elements(By.TAG_NAME, "h3")
    assert [h.text for h in headings if h.is_displayed()] == ["wood"]

    # From a case, the keys go to the next, the last, back, and out.
    figures[0].find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert find("caption").text.startswith(f"1 of {len(figures)}: wood, worst")
    keys = browser.switch_to.active_element
    keys.send_keys(Keys.ARROW_RIGHT)
    assert find("caption").text.startswith("2 of")
    keys.send_keys("kk")
    assert find("caption").text.startswith(f"{len(figures)} of")
    picture = find("picture").find_element(By.TAG_NAME, "img")
    natural = picture.get_property("naturalWidth")
    assert natural > 5 * 256 > picture.size["width"]
    keys.send_keys("f")
    assert picture.size["width"] == natural
    assert find("size").get_attribute("aria-pressed") == "true"
    assert faint_text(browser) == [] and unnamed(browser) == []
    keys.send_keys(Keys.ESCAPE)
    assert not find("viewer").is_displayed()
    assert browser.switch_to.active_element == figures[-1].find_element(
        By.TAG_NAME, "button"
    )
    assert faint_text(browser) == [] and unnamed(browser) == []
