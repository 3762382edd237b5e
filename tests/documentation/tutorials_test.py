"""The tutorials run, and find what they say."""

import runpy
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.backend_independent

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"


def test_the_first_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = runpy.run_path(str(TUTORIALS / "first_model.py"))
    assert names["figures"]["image_auroc"] > 0.8
    assert names["model"].known_categories == ("gear", "wood")
    assert names["picture"].width > 2 * names["picture"].height
    assert "defects found" in capsys.readouterr().out
    assert list(TUTORIALS.glob("*.py")) == [TUTORIALS / "first_model.py"]
