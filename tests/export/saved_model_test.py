"""Signatures of a SavedModel, as TensorFlow Serving loads and calls them."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.tiny_model import IMAGE_SIZE, random_images, tiny_model

pytestmark = pytest.mark.backend_independent

SIGNATURES = {"serving_default", "serve_float", "serve_bytes", "score_only", "info"}


@pytest.fixture(scope="module")
def model():
    model = tiny_model()
    model.calibrate(random_images(20, seed=4), false_positive_rate=0.3)
    return model


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "1"
    model.export(path, categories=["bottle", "cable"])
    return path


@pytest.fixture(scope="module")
def signatures(path):
    loaded = tf.saved_model.load(str(path))
    assert set(loaded.signatures) == SIGNATURES

    def call(name, **inputs):
        outputs = loaded.signatures[name](**inputs)
        return {key: value.numpy() for key, value in outputs.items()}

    return call


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def test_all_signatures_give_the_same(signatures, model):
    images = random_images(4, 60, 50)
    expected = model.predict(images, verbose=0)
    encoded = tf.constant([png(image) for image in images])
    calls = {
        "serving_default": {"image": tf.constant(images)},
        "serve_float": {"image": tf.constant(images.astype("float32"))},
        "serve_bytes": {"image_bytes": encoded},
        "score_only": {"image": tf.constant(images)},
    }
    for name, inputs in calls.items():
        outputs = signatures(name, **inputs)
        assert ("anomaly_map" in outputs) == (name != "score_only")
        for key in set(outputs) - {"status"}:
            np.testing.assert_allclose(
                outputs[key], expected[key], rtol=1e-4, atol=1e-5, err_msg=name
            )


def test_info(signatures, model, path):
    outputs = signatures("info", request=tf.constant(["", "", ""]))
    assert {len(value) for value in outputs.values()} == {3}
    assert outputs["categories"][0].tolist() == [b"bottle", b"cable"]
    assert outputs["threshold"] == pytest.approx([model.threshold] * 3)
    assert outputs["image_size"].tolist() == [IMAGE_SIZE] * 3
    version = outputs["model_version"][0].decode()
    assert f'"model_version": "{version}"' in (path / "manifest.json").read_text()


def test_bad_files_have_a_status_and_no_score(signatures, model):
    good = random_images(1, 60, 50)
    files = [png(good[0]), b"", png(good[0])[:-60], png(good[0])]
    outputs = signatures("serve_bytes", image_bytes=tf.constant(files))
    expected = model.predict(good, verbose=0)
    assert outputs["status"].tolist() == [0, 1, 1, 0]
    assert np.isnan(outputs["anomaly_score"]).tolist() == [False, True, True, False]
    assert not outputs["is_anomalous"][1:3].any()
    assert not outputs["anomaly_map"][1:3].any()
    for row in (0, 3):
        np.testing.assert_allclose(
            outputs["anomaly_score"][row], expected["anomaly_score"][0], rtol=1e-4
        )


def test_batches_of_none(signatures):
    for name, inputs in {
        "serving_default": {"image": tf.zeros((0, 30, 40, 3), tf.uint8)},
        "serve_bytes": {"image_bytes": tf.constant([], tf.string)},
        "info": {"request": tf.constant([], tf.string)},
    }.items():
        assert {len(value) for value in signatures(name, **inputs).values()} == {0}


def test_inputs_of_other_kinds_are_refused(signatures):
    expected = {
        "expected to be a uint8 tensor": tf.zeros((1, 30, 40, 3)),
        "[Ss]hape": tf.zeros((1, 30, 40, 1), tf.uint8),
    }
    for message, image in expected.items():
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            signatures("serving_default", image=image)


def test_warm_up_requests_replay(signatures, path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    file = path / "assets.extra" / "tf_serving_warmup_requests"
    replayed = set()
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = logs.PredictionLog.FromString(record).predict_log.request
        inputs = {
            name: tf.constant(tf.make_ndarray(value))
            for name, value in request.inputs.items()
        }
        outputs = signatures(request.model_spec.signature_name, **inputs)
        assert {len(value) for value in outputs.values()} == {1}
        assert outputs.get("status", np.zeros(1)).tolist() == [0]
        replayed.add(request.model_spec.signature_name)
    assert replayed == SIGNATURES


def test_the_command_of_tensorflow_shows_them(path):
    command = Path(sys.executable).with_name("saved_model_cli")
    shown = subprocess.run(
        [command, "show", "--dir", path, "--tag_set", "serve"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {name for name in SIGNATURES if f'"{name}"' in shown} == SIGNATURES


LOADER = """
import ctypes, sys
library, path = sys.argv[1:]
tf = ctypes.CDLL(library)
for name in ("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions",
             "TF_LoadSessionFromSavedModel", "TF_GraphOperationByName"):
    getattr(tf, name).restype = ctypes.c_void_p
tf.TF_Message.restype = ctypes.c_char_p
status = ctypes.c_void_p(tf.TF_NewStatus())
graph = ctypes.c_void_p(tf.TF_NewGraph())
options = ctypes.c_void_p(tf.TF_NewSessionOptions())
tags = (ctypes.c_char_p * 1)(b"serve")
session = tf.TF_LoadSessionFromSavedModel(
    options, None, path.encode(), tags, 1, graph, None, status)
assert tf.TF_GetCode(status) == 0, tf.TF_Message(status)
assert session
found = tf.TF_GraphOperationByName(graph, b"serving_default_image")
assert found
print("loaded")
"""


def test_the_c_api_that_serving_uses_loads_it(path):
    """No Python of TensorFlow runs: operators are those of the core alone."""
    (library,) = Path(tf.sysconfig.get_lib()).glob("libtensorflow_cc.so.2")
    loaded = subprocess.run(
        [sys.executable, "-c", LOADER, library, path],
        env={**os.environ, "LD_LIBRARY_PATH": str(library.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.stdout == "loaded\n", loaded.stderr[-2000:]
