"""Makes the pictures of README and documentation anew.

    python -m scripts.make_pictures [--demo DIR] [--output docs/pictures]

They show what `keras-rlr demo` finds; without --demo it is run first, which takes
minutes. Screenshots are of Chromium (Debian's chromium and chromium-driver).
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageDraw
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

import keras_rlr
from keras_rlr.datasets import FolderDataset
from keras_rlr.evaluation import HeatScale, draw_overlay
from tests.browser import open_browser, wait

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("capsule", "wood")
_GAP = 8
ON_THE_APP = (("capsule", 1), ("gear", 1), ("wood", 0))


def main(arguments):
    """Makes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, help="What `keras-rlr demo` wrote.")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "pictures")
    chosen = parser.parse_args(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        demo = chosen.demo
        if demo is None:
            demo = Path(work, "demo")
            command = [sys.executable, "-m", "keras_rlr_command", "demo"]
            subprocess.run([*command, "--output", str(demo)], check=True, cwd=ROOT)
        model = keras.saving.load_model(demo / "run" / "model.keras")
        test = FolderDataset(demo / "data", "test")
        scores = model.predict(test, verbose=0)["anomaly_score"]
        overlays(model, test, scores, chosen.output / "overlay.jpg")
        regions(model, test, scores, chosen.output / "regions.jpg")
        report(demo / "report.html", chosen.output, Path(work, "report"))
        files = []
        for category, label in ON_THE_APP:
            sample = test.samples[median(test, scores, category, label)]
            files.append(Path(work, f"{category}.png"))
            shutil.copy(demo / "data" / sample.path, files[-1])
        app(model, files, chosen.output / "app.jpg", Path(work, "app"))


def median(test, scores, category, label):
    """The image of a category whose score is in the middle: neither best nor worst."""
    rows = [
        i
        for i, sample in enumerate(test.samples)
        if sample.category == category and bool(sample.label) == bool(label)
    ]
    return sorted(rows, key=lambda i: scores[i])[len(rows) // 2]


def overlays(model, test, scores, path):
    """An image with a defect of each of two products, and its map over it."""
    pictures = []
    for category in SHOWN:
        i = median(test, scores, category, 1)
        element = test[i]
        anomaly_map = model.predict([element["image"]], verbose=0)["anomaly_map"][0]
        scale = HeatScale.of_threshold(model.thresholds.of(category))
        mask, score = element["mask"], scores[i]
        pictures.append(
            draw_overlay(element["image"], anomaly_map, scale, mask, 320, score=score)
        )
    save(below_each_other(pictures), path)


def regions(model, test, scores, path):
    """An image with the boxes and outlines of its regions."""
    pictures = []
    for category in SHOWN:
        image = test[median(test, scores, category, 1)]["image"]
        out = model.predict([image], original_size=True, verbose=0)
        threshold = model.thresholds.pixels.of(category)
        found = keras_rlr.regions(out["anomaly_map"][0], threshold)
        factor = 2
        size = (image.shape[1] * factor, image.shape[0] * factor)
        picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(picture)
        for region in found:
            corners = np.array(region.polygon) * factor
            draw.polygon(corners.tolist(), outline=(64, 255, 255), width=2)
            x, y, width, height = np.array(region.box) * factor
            draw.rectangle((x, y, x + width, y + height), outline="white")
            words = f"area {region.area}, score {region.score:.2f}"
            draw.text((x, max(y - 14, 0)), words, fill="white")
        pictures.append(picture)
    save(beside_each_other(pictures), path)


def report(page, output, profile):
    """The top of a report, and one of its cases as large as the window."""
    with open_browser(profile, "1280,900") as browser:
        browser.get(page.resolve().as_uri())
        screenshot(browser, output / "report.png")
        Select(browser.find_element(By.ID, "category")).select_by_value(SHOWN[0])
        Select(browser.find_element(By.ID, "decision")).select_by_value("found")
        figures = browser.find_elements(By.CSS_SELECTOR, "figure[data-category]")
        shown = [figure for figure in figures if figure.is_displayed()]
        shown[0].find_element(By.TAG_NAME, "button").click()
        browser.set_window_size(1280, 480)
        screenshot(browser, output / "case.jpg")


def app(model, files, path, profile):
    """The page of `keras-rlr app` with three images."""
    from keras_rlr.app import build_page, serve_page

    page = build_page(model)
    address = serve_page(page)
    with open_browser(profile, "1280,1340") as browser:
        browser.get(address)
        find = (By.CSS_SELECTOR, "#images input[type=file]")
        wait(browser, lambda: browser.find_elements(*find))
        names = "\n".join(str(file.resolve()) for file in files)
        browser.find_element(*find).send_keys(names)
        complete = """
          return [...document.querySelectorAll("#pictures img")]
            .filter(image => image.complete && image.naturalWidth).length
        """
        wait(browser, lambda: browser.execute_script(complete) >= len(files))
        screenshot(browser, path)
    page.close(verbose=False)


def screenshot(browser, path):
    """What the window shows; PNG in few colours, for what is text alone."""
    seen = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    if path.suffix == ".png":
        seen.quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)
    else:
        save(seen, path)


def below_each_other(pictures):
    """One picture of several."""
    width = max(picture.width for picture in pictures)
    height = sum(picture.height + _GAP for picture in pictures) - _GAP
    together = Image.new("RGB", (width, height), "white")
    top = 0
    for picture in pictures:
        together.paste(picture, (0, top))
        top += picture.height + _GAP
    return together


def beside_each_other(pictures):
    """One picture of several."""
    turned = [picture.transpose(Image.Transpose.TRANSPOSE) for picture in pictures]
    return below_each_other(turned).transpose(Image.Transpose.TRANSPOSE)


def save(picture, path):
    """Writes a photograph."""
    picture.save(path, quality=82, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
