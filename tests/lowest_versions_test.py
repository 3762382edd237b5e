"""The constraints that `scripts/lowest_versions.py` makes of pyproject.toml."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts.lowest_versions import floors

pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[1]


def test_every_requirement_has_a_lowest_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lowest = floors(project, project["optional-dependencies"])
    names = [*project["dependencies"]]
    for requirements in project["optional-dependencies"].values():
        names += requirements
    assert {name.partition("[")[0].partition(">")[0] for name in names} >= {"keras"}
    assert len(lowest) >= 25
    assert all(version[0].isdigit() for version in lowest.values())


def test_a_requirement_without_one_is_refused():
    project = {"dependencies": ["click<9"], "optional-dependencies": {}}
    with pytest.raises(ValueError, match="'click<9' has no lowest version"):
        floors(project, [])


def test_what_is_printed_is_for_pip():
    script = [sys.executable, str(ROOT / "scripts/lowest_versions.py")]
    done = subprocess.run([*script, "torch"], capture_output=True, text=True)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "keras==3.15" in lines and any(line.startswith("torch==") for line in lines)
    done = subprocess.run([*script, "nothing"], capture_output=True, text=True)
    assert done.returncode == 2 and "has no extra nothing" in done.stderr
