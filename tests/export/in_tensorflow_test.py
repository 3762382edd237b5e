"""What becomes of a child process that fails."""

import pytest

from keras_rlr.detectors import save_model
from keras_rlr.export.in_tensorflow import write_in_tensorflow
from tests.tiny_model import random_images, tiny_model

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


REQUEST = {
    "format": "onnx",
    "name": "m.onnx",
    "quantize": None,
    "categories": [],
    "evaluation": None,
}


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
    with pytest.raises(error, match=message):
        images = list(random_images(2))
        write_in_tensorflow(model, tmp_path / "out", images, REQUEST)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_with_other_weights_is_not_exported(model, tmp_path, monkeypatch):
    """As if Keras ordered them otherwise there."""
    other, save = tiny_model(seed=1), save_model.save_without_optimizer
    monkeypatch.setattr(
        save_model, "save_without_optimizer", lambda _, path: save(other, path)
    )
    with pytest.raises(ValueError, match="has other weights than here"):
        write_in_tensorflow(model, tmp_path, list(random_images(2)), REQUEST)
    assert list(tmp_path.iterdir()) == []
