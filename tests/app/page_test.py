"""The page in a real browser that reaches nothing but this machine."""

import shutil
import socket
import time

import gradio
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import keras_rlr
from keras_rlr.app import build_page, page, serve_page
from keras_rlr.detectors.pixel_thresholds import PixelThresholds
from tests.browser import faint_text, needs_browser, open_browser, unnamed, wait
from tests.tiny_model import random_images, tiny_model

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def model():
    model = tiny_model()
    images = random_images(24, seed=4)
    categories = ["bolt"] * 12 + ["nut"] * 12
    elements = [
        {"image": image, "category": name}
        for image, name in zip(images, categories, strict=True)
    ]
    model.calibrate(elements, false_positive_rate=0.1)
    return model


@pytest.fixture(scope="module")
def address(model):
    page = build_page(model)
    yield serve_page(page)
    page.close(verbose=False)


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@pytest.fixture
def browser(address, one_browser):
    """The page anew, in the same browser: to the page it is another visitor."""
    one_browser.get(address)
    return one_browser


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """Paths of a normal, an anomalous and a damaged image; scores of the first two.

    The third is how many regions each has.
    """
    folder = tmp_path_factory.mktemp("files")
    images = random_images(24, seed=4)
    out = model.predict(images, verbose=0)
    scores = out["anomaly_score"]
    order = scores.argsort()
    paths = [str(folder / name) for name in ("low.png", "high.png", "broken.png")]
    for path, i in zip(paths, (order[0], order[-1]), strict=False):
        Image.fromarray(images[i]).save(path)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    ends = (order[0], order[-1])
    # Of images that were calibrated on none would have any.
    peaks = [out["anomaly_map"][i].max() for i in ends]
    model.thresholds.pixels = PixelThresholds(float(sum(peaks) / 2))
    counts = [
        str(len(keras_rlr.regions(out["anomaly_map"][i], model.pixel_threshold)))
        for i in ends
    ]
    return paths, tuple(scores[i] for i in ends), counts


def drop(browser, paths):
    """Gives files to the page, as dropping or choosing them does."""
    find = (By.CSS_SELECTOR, "#images input[type=file]")
    wait(browser, lambda: browser.find_elements(*find))
    browser.find_element(*find).send_keys("\n".join(paths))


def decisions(browser):
    """The rows of the page's table, by the image's name."""
    script = """
      return [...document.querySelectorAll("#decisions tr")].slice(1).map(row =>
        [...row.cells].map(cell => cell.innerText));
    """
    return {name: rest for name, *rest in browser.execute_script(script)}


def set_threshold(browser, value):
    """Types a threshold into the slider's field."""
    field = browser.find_element(By.CSS_SELECTOR, "#threshold input[type=number]")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(f"{value:.6f}", Keys.TAB)


@needs_browser
def test_images_get_a_picture_a_score_and_a_decision(browser, files, model):
    paths, (low, high), regions = files
    assert regions[0] == "0" and int(regions[1]) > 0
    drop(browser, paths[:2])
    wait(browser, lambda: {"low.png", "high.png"} <= set(decisions(browser)))
    found = {
        "low.png": [f"{low:.4g}", regions[0], "normal"],
        "high.png": [f"{high:.4g}", regions[1], "anomalous"],
    }
    assert decisions(browser) == found
    complete = """
      return [...document.querySelectorAll("#pictures img")]
        .filter(image => image.complete && image.naturalWidth > 500).length
    """
    wait(browser, lambda: browser.execute_script(complete) >= 2)
    assert faint_text(browser) == [] and unnamed(browser) == []
    for kind, name in (("anomalous", "high.png"), ("normal", "low.png")):
        browser.find_element(By.CSS_SELECTOR, f"#kind input[value={kind}]").click()
        wait(browser, lambda name=name: set(decisions(browser)) == {name})
    browser.find_element(By.CSS_SELECTOR, "#kind input[value='all images']").click()
    wait(browser, lambda: decisions(browser) == found)
    # One is shown large, and the keyboard goes to the next.
    browser.find_element(By.CSS_SELECTOR, "#pictures .thumbnail-lg").click()
    caption = "return document.querySelector('#pictures .caption')?.innerText || ''"
    wait(browser, lambda: "low.png" in browser.execute_script(caption))
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    wait(browser, lambda: "high.png" in browser.execute_script(caption))
    # Beyond the highest score both are normal, below the lowest neither.
    set_threshold(browser, high * 1.05)
    wait(browser, lambda: decisions(browser)["high.png"][-1] == "normal")
    set_threshold(browser, low * 0.95)
    wait(browser, lambda: decisions(browser)["low.png"][-1] == "anomalous")


@pytest.mark.parametrize("threshold", [12.5, 0.003, 0.0, -0.31])
def test_the_slider_holds_the_threshold_and_all_scores(threshold):
    scores = [threshold + 5.0, threshold - 5.0]
    slider = page._slider(threshold, scores)
    assert slider["minimum"] < max(threshold, 1e-7) < slider["maximum"]
    assert slider["maximum"] >= scores[0]
    assert slider["value"] == pytest.approx(threshold)
    if threshold <= 0:
        assert slider["minimum"] <= scores[1]


@needs_browser
def test_the_slider_itself_decides_anew(browser, files):
    paths = files[0]
    drop(browser, paths[:2])
    wait(browser, lambda: decisions(browser).get("high.png", [""])[-1] == "anomalous")
    slider = browser.find_element(By.CSS_SELECTOR, "#threshold input[type=range]")
    slider.send_keys(Keys.END)
    wait(browser, lambda: decisions(browser)["high.png"][-1] == "normal")
    slider.send_keys(Keys.HOME)
    wait(browser, lambda: decisions(browser)["low.png"][-1] == "anomalous")


@needs_browser
def test_a_threshold_that_was_set_stays_when_images_are_added(browser, files):
    paths, (_, high), _ = files
    drop(browser, paths[1:2])
    wait(browser, lambda: "high.png" in decisions(browser))
    set_threshold(browser, high * 1.05)
    wait(browser, lambda: decisions(browser)["high.png"][-1] == "normal")
    find = (By.CSS_SELECTOR, "#images input[type=file]")
    wait(browser, lambda: browser.find_elements(*find))
    browser.find_element(*find).send_keys(paths[0])
    wait(browser, lambda: "low.png" in decisions(browser))
    time.sleep(1)  # for the slider, which is updated last
    field = browser.find_element(By.CSS_SELECTOR, "#threshold input[type=number]")
    assert float(field.get_attribute("value")) == pytest.approx(high * 1.05, rel=1e-4)


@needs_browser
def test_a_broken_file_says_so_and_the_others_go_on(browser, files):
    paths, (low, _), _ = files
    drop(browser, [paths[2], paths[0]])
    wait(browser, lambda: {"low.png", "broken.png"} <= set(decisions(browser)))
    found = decisions(browser)
    assert found["low.png"] == [f"{low:.4g}", "0", "normal"]
    score, _, error = found["broken.png"]
    assert score == ""
    assert error.startswith("'broken.png' can't be read as an image")


@needs_browser
def test_a_file_name_is_text(browser, files, tmp_path):
    name = "<img src=x onerror=alert(1)>.png"
    shutil.copy(files[0][0], tmp_path / name)
    drop(browser, [str(tmp_path / name)])
    wait(browser, lambda: decisions(browser))
    # Gradio takes some characters out of names; none may become an element.
    assert next(iter(decisions(browser))).endswith(".png")
    assert not browser.find_elements(By.CSS_SELECTOR, "#decisions img")


@needs_browser
def test_a_category_has_its_own_threshold(browser, model):
    field = "#threshold input[type=number]"
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, field))
    box = browser.find_element(By.CSS_SELECTOR, "#category input")
    box.click()
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("nut", Keys.ENTER)
    own = model.thresholds.of("nut")
    assert own != model.threshold

    def shown():
        value = browser.find_element(By.CSS_SELECTOR, field).get_attribute("value")
        return float(value) == pytest.approx(own, rel=1e-4)

    wait(browser, shown)


@needs_browser
def test_the_page_asks_nobody_else(browser, address):
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#images input"))
    script = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    names = browser.execute_script(script)
    assert names
    assert [n for n in names if not n.startswith((address, "data:", "blob:"))] == []


def test_more_files_than_the_page_takes_are_refused(model):
    page = build_page(model)
    (score,) = (f.fn for f in page.fns.values() if f.name == "score")
    with pytest.raises(gradio.Error, match="65 images were dropped"):
        score([f"{i}.png" for i in range(65)], [])


def test_a_model_without_a_threshold_is_refused():
    with pytest.raises(ValueError, match="no threshold to decide by"):
        build_page(tiny_model())


def test_a_port_that_is_taken_is_refused(model):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port}"):
            serve_page(build_page(model), port=port)
