"""Where a training that names no cache keeps the features of its images."""

import collections
import os
import signal
import warnings
from types import SimpleNamespace

import keras
import pytest

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.training import TrainingInterrupted, train
from keras_rlr.training import default_feature_cache as module
from keras_rlr.training.default_feature_cache import default_feature_cache
from tests.tiny_model import SMALL_RUN

pytestmark = pytest.mark.backend_independent

# Of one image, 1 MiB as float16.
MODEL = SimpleNamespace(
    feature_extractor=SimpleNamespace(feature_shapes=((64, 64, 64), (32, 32, 256)))
)
SMALL = {**SMALL_RUN, "calibration_fraction": 0.0}


def with_free(monkeypatch, gib):
    usage = collections.namedtuple("usage", "total used free")
    free = int(gib * 2**30)
    monkeypatch.setattr(
        module.shutil, "disk_usage", lambda path: usage(2 * free, free, free)
    )


def test_few_images_are_in_memory_without_a_word(tmp_path):
    with (
        warnings.catch_warnings(),
        default_feature_cache(MODEL, 2048, tmp_path / "cache") as cache,
    ):
        warnings.simplefilter("error")
        assert cache.path is None


@pytest.mark.parametrize("place", ["run/feature_cache", None])
def test_many_are_in_a_folder_for_as_long_as_it_takes(tmp_path, monkeypatch, place):
    with_free(monkeypatch, 100)
    folder = None if place is None else tmp_path / place
    with (
        pytest.warns(UserWarning, match=r"2049 images take 2\.0 GiB.*until the train"),
        default_feature_cache(MODEL, 2049, folder) as cache,
    ):
        cache.path.mkdir(parents=True, exist_ok=True)
        (cache.path / "a.npy").write_bytes(b"features")
        assert folder is None or cache.path == folder
    assert not cache.path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_announced(tmp_path, monkeypatch):
    with_free(monkeypatch, 4.5)
    with (
        pytest.warns(UserWarning, match=r"no room.*4\.5 GiB free.*--feature-cache"),
        default_feature_cache(MODEL, 4000, tmp_path / "cache") as cache,
    ):
        assert cache is None
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_procedural_dataset(
        tmp_path_factory.mktemp("products") / "data",
        image_size=64,
        train_per_category=7,
        test_normal=1,
        test_anomalous=1,
        categories=["gear"],
    )


class SignalAtEnd(keras.callbacks.Callback):
    """Sends this process a signal at the end of the first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_that_is_resumed_has_its_features_still(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES_IN_MEMORY", 0)
    with_free(monkeypatch, 100)
    run = tmp_path / "run"
    with (
        pytest.warns(UserWarning, match="until the training is done"),
        pytest.raises(TrainingInterrupted),
    ):
        train(data, run, epochs=2, callbacks=[SignalAtEnd()], **SMALL)
    (kept,) = run.glob("feature_cache/*/*.npy")
    written = kept.stat().st_mtime_ns
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.extend(f.stat().st_mtime_ns for f in run.glob("feature_cache/*/*.npy"))

    with pytest.warns(UserWarning, match="until the training is done"):
        train(data, run, resume=True, callbacks=[Look()])
    assert seen == [written]
    assert not (run / "feature_cache").exists() and (run / "model.keras").exists()
