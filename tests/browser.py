"""A real browser that reaches nothing but this machine."""

import contextlib
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs chromium and chromium-driver (Debian's packages)",
)
SECONDS = 60


@contextlib.contextmanager
def open_browser(profile, size="1200,1400"):
    """Chromium without a window.

    Args:
        profile: A new folder.
        size: Width and height of the page, in pixels.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-quic", "--disable-background-networking", "--disable-sync"),
        *("--disable-component-update", f"--window-size={size}", "--hide-scrollbars"),
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options, service)
    try:
        yield browser
    finally:
        browser.quit()


def wait(browser, condition):
    """What `condition` returns once it is true."""
    return WebDriverWait(browser, SECONDS, 0.1).until(lambda browser: condition())


# The least contrast of text that is shown with what is behind it, as WCAG has it.
_FAINT = """
const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
const luminance = ([r, g, b]) => {
  const part = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const over = ([r, g, b, a = 1], below) =>
  [r, g, b].map((value, i) => a * value + (1 - a) * below[i]);
const behind = element => element === null ? [255, 255, 255]
  : over(parse(getComputedStyle(element).backgroundColor),
    behind(element.parentElement));
const faint = new Set();
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const seen = element.checkVisibility(
    {visibilityProperty: true, opacityProperty: true});
  if (!own || !seen) continue;
  if (element.closest("svg, [disabled], script, style")) continue;
  const below = behind(element);
  const lights = [over(parse(getComputedStyle(element).color), below), below]
    .map(luminance).sort((a, b) => b - a);
  const contrast = (lights[0] + 0.05) / (lights[1] + 0.05);
  if (contrast < 4.5) faint.add(element.innerText.slice(0, 40) + " " +
    contrast.toFixed(2));
}
return [...faint];
"""
_UNNAMED = """
const names = element => element.innerText || element.getAttribute("aria-label") ||
  element.title || element.labels?.length ||
  element.getAttribute("aria-labelledby") || element.querySelector("[alt]")?.alt;
return [...document.querySelectorAll("a[href], button, input, select, textarea")]
  .filter(element => element.checkVisibility() && !names(element))
  .map(element => element.outerHTML.slice(0, 120))
  .concat([...document.images].filter(image => !image.hasAttribute("alt"))
    .map(image => image.outerHTML.slice(0, 60)));
"""


def faint_text(browser):
    """Text that is shown with less contrast than WCAG's 4.5 to 1, and its contrast."""
    return browser.execute_script(_FAINT)


def unnamed(browser):
    """Controls and pictures that are shown and have no words for who can't see."""
    return browser.execute_script(_UNNAMED)
