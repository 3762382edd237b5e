"""What the pages of the documentation say, against the package."""

import ast
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import click
import pytest

import keras_rlr
from keras_rlr.cli.main import cli
from keras_rlr.methods.by_name import METHODS
from scripts.site_pages import as_markdown

pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks(page, *languages):
    """The fenced blocks of a page in one of some languages."""
    found = FENCE.findall(page.read_text("utf-8"))
    return [text for _, language, text in found if language in languages]


def texts_of_package():
    """All texts in the package's code; what is put into them is `…`."""
    texts = set()
    for file in (ROOT / "keras_rlr").rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
                texts.add("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return texts


def test_messages_that_are_explained_still_exist():
    page = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    quoted = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    headings = re.findall(r"^### .*", page, re.MULTILINE)
    assert len(quoted) == len(headings) > 30
    texts = texts_of_package()
    gone = [message for message in quoted if not any(message in t for t in texts)]
    assert gone == []


def test_every_preset_has_a_card():
    page = (ROOT / "docs/model_cards.md").read_text("utf-8")
    presets = {preset for method in METHODS.values() for preset in method.PRESETS}
    assert len(presets) > 15
    assert sorted(preset for preset in presets if f"`{preset}`" not in page) == []


def test_every_public_name_is_in_the_reference():
    texts = "".join(p.read_text("utf-8") for p in (ROOT / "docs/reference").iterdir())
    # Where a module is called like what is in it, the heading has the name.
    shown = set(re.findall(r"^(?:::: | +heading: )(\S+)", texts, re.MULTILINE))
    rooms = (
        *("app", "batch", "datasets", "evaluation", "export", "layers", "metrics"),
        *("metrics.functional", "training"),
    )
    names = {f"keras_rlr.{name}" for name in keras_rlr.__all__}
    for room in rooms:
        module = importlib.import_module(f"keras_rlr.{room}")
        names |= {f"keras_rlr.{room}.{name}" for name in module.__all__}
    elsewhere = {
        "keras_rlr.__version__",
        "keras_rlr.layers",
        "keras_rlr.losses",
        "keras_rlr.metrics",
        "keras_rlr.metrics.functional",
        "keras_rlr.export.FORMATS",
        "keras_rlr.export.QUANTIZATIONS",
    }
    assert sorted(names - shown - elsewhere) == []


def test_names_of_the_package_exist():
    tutorials = (ROOT / "docs/tutorials").glob("*.py")
    texts = (page.read_text("utf-8") for page in [*PAGES, *tutorials])
    names = set(re.findall(r"keras_rlr(?:\.\w+)+", " ".join(texts)))
    assert len(names) > 50
    # What Parquet files call their order.
    assert sorted(name for name in names if not exists(name)) == ["keras_rlr.order"]


def exists(name):
    """Whether a dotted name leads to anything."""
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_can_be_read(page):
    for block in blocks(page, "python"):
        ast.parse(block)
    lines = "".join(blocks(page, "bash", "text")).replace("\\\n", " ").splitlines()
    for line in lines:
        words = shlex.split(line, comments=True)
        if "keras-rlr" in words[:4]:
            parse(words[words.index("keras-rlr") + 1 :])


def parse(words):
    """Has click read the words of a command, without running it."""
    command, name = cli, "keras-rlr"
    while isinstance(command, click.Group):
        name, *words = words
        context = click.Context(cli)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    command.make_context(name, words)


def test_scripts_in_percent_format_become_pages():
    script = "# %% [markdown]\n# # A\n#\n# b\n\n# %%\nx = 1\n"
    assert as_markdown(script) == "# A\n\nb\n\n```python\nx = 1\n```\n"
