import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr.backbones.weights_file import load_weights_file

pytestmark = pytest.mark.backend_independent


def small_model(units=4):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])


@pytest.fixture
def path(tmp_path):
    small_model().save_weights(tmp_path / "small.weights.h5")
    return tmp_path / "small.weights.h5"


def test_loads_what_keras_saved(path):
    first, second = small_model(), small_model()
    load_weights_file(first, path, "small")
    load_weights_file(second, str(path), "small")
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        )


def test_damaged_files_and_files_of_other_networks_are_refused(path):
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"hello", b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="does not hold the weights of .*'small'"):
            load_weights_file(small_model(), path, "small")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not hold the weights of .*'small'"):
        load_weights_file(small_model(units=5), path, "small")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights file .*nothing.h5"):
        load_weights_file(small_model(), tmp_path / "nothing.h5", "small")
