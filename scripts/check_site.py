"""Looks at the built documentation site in Chromium; exits with 1 if it is not right.

    mkdocs build --strict && python -m scripts.check_site site

Every page is opened at two widths: its pictures load, nothing comes from elsewhere,
nothing sticks out at the side, text has contrast, and controls and pictures have words.
Then a reader goes to another page by the navigation, and searches.
"""

import contextlib
import functools
import http.server
import sys
import tempfile
import threading
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import faint_text, open_browser, unnamed, wait

WIDTHS = (1280, 420)
_SEEN = """
return {
  broken: [...document.images].filter(i => i.loading !== "lazy" && i.complete
    && !i.naturalWidth).map(i => i.src),
  elsewhere: performance.getEntriesByType("resource").map(r => r.name)
    .filter(name => !name.startsWith(location.origin) && !name.startsWith("data:")),
  overflow: document.documentElement.scrollWidth - innerWidth,
  words: document.querySelector("article").innerText.length,
  quoted: [...document.querySelectorAll("blockquote")].map(q => q.innerText),
  raw: [...document.querySelectorAll("article p, article li")]
    .map(p => p.cloneNode(true))
    .map(p => { p.querySelectorAll("code").forEach(c => c.remove()); return p; })
    .map(p => p.textContent).filter(text => /```|^\\s*\\||\\]\\(|^>>>/.test(text)),
};
"""


@contextlib.contextmanager
def served(folder):
    """The address of a folder that is served on this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Says nothing."""


def faults_of_page(browser, width):
    """What is wrong with the page that is shown.

    Args:
        browser: The browser.
        width: Of the window, in pixels.
    """
    seen = browser.execute_script(_SEEN)
    faults = [f"{kind}: {seen[kind]}" for kind in ("broken", "elsewhere") if seen[kind]]
    faults += [
        f"not rendered: {seen[kind]}" for kind in ("quoted", "raw") if seen[kind]
    ]
    if seen["overflow"] > 0:
        faults.append(f"sticks out by {seen['overflow']} pixels")
    if seen["words"] < 200:
        faults.append("has hardly any text")
    if width == WIDTHS[0]:
        faults += [f"faint: {text}" for text in faint_text(browser)]
        faults += [f"without words: {html}" for html in unnamed(browser)]
    return faults


def find_by_search(browser, words):
    """The titles that a search finds."""
    browser.find_element(By.CSS_SELECTOR, "input.md-search__input").send_keys(words)
    results = (By.CSS_SELECTOR, ".md-search-result__article h1")
    wait(browser, lambda: browser.find_elements(*results))
    found = [element.text for element in browser.find_elements(*results)]
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    return found


def main(arguments):
    """Looks at all pages and prints what is wrong; returns the exit code."""
    (folder,) = map(Path, arguments)
    pages = sorted(
        page.relative_to(folder).as_posix()
        for page in folder.rglob("*.html")
        if page.name != "404.html"
    )
    if not pages:
        print(f"There are no pages in '{folder}'. Run `mkdocs build` first.")
        return 1
    faults = []
    with tempfile.TemporaryDirectory() as work, served(folder) as address:
        for width in WIDTHS:
            profile = Path(work, str(width))
            with open_browser(profile, f"{width},900") as browser:
                for page in pages:
                    browser.get(f"{address}/{page}")
                    found = faults_of_page(browser, width)
                    faults += [f"{page} at {width}: {fault}" for fault in found]
        with open_browser(Path(work, "reader"), "1280,900") as browser:
            browser.get(f"{address}/index.html")
            browser.find_element(By.PARTIAL_LINK_TEXT, "Quick start").click()
            wait(browser, lambda: browser.title.startswith("Quick start"))
            titles = find_by_search(browser, "pixel threshold")
            if not any("Thresholds" in title or "Regions" in title for title in titles):
                faults.append(f"search: 'pixel threshold' finds {titles}")
    print(*faults, sep="\n")
    print(f"{len(pages)} pages, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
