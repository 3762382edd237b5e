"""Pages of the documentation site that are made as it is built; a hook of mkdocs.

Some are files that lie elsewhere in the repository, some are scripts in jupytext's
percent format, and one is of the commands. Links to files of the repository that are no
pages become their paths.
"""

import re
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
# Files elsewhere and the pages that they are.
PAGES = {
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "examples.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
COMMANDS = "reference/commands.md"
_ELSEWHERE = {page: source for source, page in PAGES.items()}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_CELL = re.compile(r"^# %%(.*)$", re.MULTILINE)


def on_files(files, config):
    """Adds the pages."""
    # Late, so that tests can import this file without mkdocs.
    from mkdocs.structure.files import File

    # mkdocs loads hooks by their path.
    sys.path.insert(0, str(ROOT))
    from scripts.command_reference import command_reference

    for source, page in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=text))
    commands = File.generated(config, COMMANDS, content=command_reference())
    files.append(commands)
    for script in sorted(Path(config.docs_dir).rglob("*.py")):
        place = script.relative_to(config.docs_dir).as_posix()
        files.remove(files.get_file_from_path(place))
        text = as_markdown(script.read_text("utf-8"))
        page = str(PurePosixPath(place).with_suffix(".md"))
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Has links lead to pages, or to nothing where what they name is none."""
    place = page.file.src_uri
    source = PurePosixPath(_ELSEWHERE.get(place, f"docs/{place}"))

    def replaced(link):
        mark, words, target, anchor = link.groups()
        if ":" in target or target.startswith("/"):
            return link[0]
        named = (ROOT / source.parent / target).resolve()
        path = named.relative_to(ROOT).as_posix() if named.exists() else ""
        known = PAGES.get(path) or path.removeprefix("docs/")
        if files.get_file_from_path(known):
            up = "../" * (len(PurePosixPath(place).parts) - 1)
            return f"{mark}[{words}]({up}{known}{anchor or ''})"
        if not path:
            # It is a page that is made, or mkdocs says what is wrong.
            return link[0]
        return words if path in words else f"{words} (`{path}`)"

    return _LINK.sub(replaced, markdown)


def as_markdown(script):
    """A script in jupytext's percent format as Markdown.

    Args:
        script: Its text: cells that begin with `# %%`, or `# %% [markdown]` and are
            comments.
    """
    parts = _CELL.split(script)[1:]
    cells = []
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        if "[markdown]" in kind:
            lines = (line.removeprefix("#") for line in text.strip().splitlines())
            cells.append("\n".join(line.removeprefix(" ") for line in lines))
        else:
            cells.append(f"```python\n{text.strip()}\n```")
    return "\n\n".join(cells) + "\n"
