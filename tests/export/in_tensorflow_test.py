"""What becomes of a child process that fails."""

import pytest

from keras_rlr.export.in_tensorflow import write_in_tensorflow
from tests.tiny_model import random_images, tiny_model

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("raise ImportError('of no use')", ImportError, "Exporting to onnx needs tf2"),
        ("import os; os._exit(9)", RuntimeError, "ended with code 9"),
        ("raise MemoryError('too small')", RuntimeError, "MemoryError: too small"),
    ],
)
def test_its_failure_arrives(content, error, message, model, tmp_path, monkeypatch):
    # The child finds this in place of the package.
    (tmp_path / "tf2onnx.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "out").mkdir()
    request = {
        "format": "onnx",
        "name": "m.onnx",
        "quantize": None,
        "categories": [],
        "evaluation": None,
    }
    with pytest.raises(error, match=message):
        images = list(random_images(2))
        write_in_tensorflow(model, tmp_path / "out", images, request)
    assert list((tmp_path / "out").iterdir()) == []
