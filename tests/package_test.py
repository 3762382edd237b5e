"""What `import keras_rlr` gives, and what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

import keras_rlr
from tests.fresh_process import run_fresh

pytestmark = pytest.mark.backend_independent

LAZY = """
import sys
import keras
import keras_rlr

rooms = sys.argv[1:]
assert set(rooms) <= set(dir(keras_rlr)), dir(keras_rlr)
for room in ("app", "datasets", "evaluation", "export", "training"):
    assert f"keras_rlr.{room}" not in sys.modules, room
for room in rooms:
    assert getattr(keras_rlr, room).__name__ == f"keras_rlr.{room}"
    assert room in vars(keras_rlr), "asked for twice, it is looked up twice"
assert keras_rlr.evaluation.evaluate_model and keras_rlr.export.export_model
assert "regions" in dir(keras_rlr) and "regions" not in vars(keras_rlr)
(region,) = keras_rlr.regions([[0.0, 1.0]], 0.5)
assert region.box == (1, 0, 1, 1) and "regions" in vars(keras_rlr)
assert keras_rlr.training.train and keras_rlr.datasets.FolderDataset
"""

# Packages that are installed with this one, but that importing it must not need.
OTHERS = (
    *("PIL", "click", "gradio", "keras_hub", "matplotlib", "onnx", "openvino"),
    *("pooch", "ray", "rich", "scipy", "sklearn", "tensorflow_datasets"),
)
ALONE = """
import sys
import keras

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ImportError(f"{name} is not installed")

for name in list(sys.modules):
    if name.split(".")[0] in sys.argv[1:]:
        del sys.modules[name]
sys.meta_path.insert(0, Missing())
import keras_rlr
assert keras_rlr.RLR and keras_rlr.metrics.functional
"""


def test_every_room_is_an_attribute_and_imported_when_asked_for():
    result = run_fresh(LAZY, *keras_rlr._ROOMS)
    assert result.returncode == 0, result.stderr


def test_importing_needs_keras_and_numpy_alone():
    result = subprocess.run(
        [sys.executable, "-c", ALONE, *OTHERS], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def test_its_types_are_for_those_who_use_it_too():
    assert (Path(keras_rlr.__file__).parent / "py.typed").is_file()


def test_another_attribute_is_an_error_as_of_any_module():
    with pytest.raises(AttributeError, match="'keras_rlr' has no attribute 'modles'"):
        _ = keras_rlr.modles
    assert not hasattr(keras_rlr, "_ROOMS_")
