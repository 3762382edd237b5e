"""Signatures of a SavedModel, as TensorFlow Serving loads and calls them."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from keras_rlr.detectors.decision_thresholds import DecisionThresholds
from keras_rlr.export.serving_functions import serving_functions
from tests.fresh_process import run_fresh
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, random_images, tiny_model

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]

SIGNATURES = {"serving_default", "serve_float", "serve_bytes", "score_only", "info"}


@pytest.fixture(scope="module")
def model():
    model = tiny_model(**ONE_LEVEL)
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
    # Nothing is known of them, so they are not called normal.
    assert outputs["is_anomalous"][1:3].all()
    assert not outputs["anomaly_map"][1:3].any()
    for row in (0, 3):
        np.testing.assert_allclose(
            outputs["anomaly_score"][row], expected["anomaly_score"][0], rtol=1e-4
        )


class NanOfBlack:
    """Stands in for a model whose score of a black image overflows."""

    threshold = 0.5
    bit_depth = None
    known_categories = ()
    map_size = (IMAGE_SIZE, IMAGE_SIZE)

    def __init__(self):
        self.thresholds = DecisionThresholds()
        self.thresholds.threshold_weight.assign(self.threshold)

    def __call__(self, batch):
        images = batch["image"]
        brightest = tf.reduce_max(images, (1, 2, 3))
        score = tf.where(brightest > 0, brightest / 255, np.nan)
        return {"anomaly_map": images[..., 0], "anomaly_score": score}


def test_a_score_that_is_nan_has_a_status_and_is_never_normal():
    functions = serving_functions(
        NanOfBlack(), {"model_version": "1", "categories": ["bottle"]}
    )
    images = np.full(
        (3, IMAGE_SIZE, IMAGE_SIZE, 3), [[[[0]]], [[[9]]], [[[255]]]], "uint8"
    )
    files = [*map(png, images), b"no image"]
    served = functions["serve_bytes"][0](tf.constant(files))
    assert served["status"].numpy().tolist() == [3, 0, 0, 1]
    assert served["is_anomalous"].numpy().tolist() == [True, False, True, True]
    for name in ("serving_default", "score_only"):
        outputs = functions[name][0](tf.constant(images))
        assert np.isnan(outputs["anomaly_score"].numpy()).tolist() == [
            True,
            False,
            False,
        ]
        assert outputs["is_anomalous"].numpy().tolist() == [True, False, True]


def test_categories_are_decided_by_their_own_thresholds(tmp_path):
    model = tiny_model(**ONE_LEVEL)
    images = random_images(6, seed=8)
    scores = model.predict(images, verbose=0)["anomaly_score"]
    low, middle, high = np.sort(scores)[[0, 2, 4]] * 1.0001
    model.thresholds.threshold_weight.assign(middle)
    model.thresholds._by_category = (("cable", float(high)), ("wood ✓", float(low)))
    model.export(tmp_path / "1", images=images)
    decide = tf.saved_model.load(str(tmp_path / "1")).signatures["decide"]
    for category in ("cable", "wood ✓", "screw", ""):
        found = decide(
            anomaly_score=tf.constant(scores), category=tf.constant([category] * 6)
        )
        named = [{"image": image, "category": category} for image in images]
        expected = model.predict(named, verbose=0)["is_anomalous"]
        np.testing.assert_array_equal(found["is_anomalous"], expected)
        np.testing.assert_array_equal(
            found["threshold"], np.float32([model.thresholds.of(category)] * 6)
        )
    unknown = decide(
        anomaly_score=tf.constant([np.nan]), category=tf.constant(["cable"])
    )
    assert unknown["is_anomalous"].numpy().all()
    manifest = json.loads((tmp_path / "1" / "manifest.json").read_text())
    assert set(manifest["inputs"]["decide"]) == {"anomaly_score", "category"}


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


def test_files_are_decoded_by_one_data_set(path):
    """Making one takes as long as decoding an image, and two an image were made."""
    operators = json.loads((path / "manifest.json").read_text())["operators"]
    assert operators["DatasetToSingleElement"] == 1
    assert "ReduceDataset" not in operators


def test_a_session_answers_as_the_function_does(signatures, path):
    """TensorFlow Serving runs signatures so; a batch of good and bad files."""
    image = random_images(1, 60, 50)[0]
    files = [png(image), b"no image", png(image)[:-60], png(image[:9])]
    expected = signatures("serve_bytes", image_bytes=tf.constant(files))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        signature = loaded.signature_def["serve_bytes"]
        fetched = {name: info.name for name, info in signature.outputs.items()}
        (fed,) = (info.name for info in signature.inputs.values())
        for batch in (files, [], [b"junk"] * 3):
            found = session.run(fetched, {fed: np.array(batch, object)})
            assert {len(values) for values in found.values()} == {len(batch)}
            if batch is files:
                for name, values in found.items():
                    np.testing.assert_allclose(values, expected[name], rtol=1e-5)


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
    code = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    words = (code, command, "show", "--dir", path, "--tag_set", "serve")
    shown = run_fresh(*words, backend="tensorflow", package="tensorflow").stdout
    assert {name for name in SIGNATURES if f'"{name}"' in shown} == SIGNATURES


# A client of TensorFlow's C library that knows no Python of TensorFlow.
CLIENT = """
import ctypes, json, sys
import numpy as np
library, path, image, fed, fetched, where = sys.argv[1:]
tf = ctypes.CDLL(library)
p, n = ctypes.c_void_p, ctypes.c_size_t

class Output(ctypes.Structure):
    _fields_ = [("operation", p), ("index", ctypes.c_int)]

def declare(name, result, *arguments):
    getattr(tf, name).restype, getattr(tf, name).argtypes = result, arguments

declare("TF_NewStatus", p)
declare("TF_NewGraph", p)
declare("TF_NewSessionOptions", p)
declare("TF_GetCode", ctypes.c_int, p)
declare("TF_Message", ctypes.c_char_p, p)
declare("TF_GraphOperationByName", p, p, ctypes.c_char_p)
declare("TF_LoadSessionFromSavedModel", p, p, p, ctypes.c_char_p,
        ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, p, p, p)
declare("TF_AllocateTensor", p, ctypes.c_int, ctypes.POINTER(ctypes.c_int64),
        ctypes.c_int, n)
declare("TF_TensorData", p, p)
declare("TF_TensorByteSize", n, p)
declare("TF_SessionRun", None, p, p, ctypes.POINTER(Output), ctypes.POINTER(p),
        ctypes.c_int, ctypes.POINTER(Output), ctypes.POINTER(p), ctypes.c_int,
        p, ctypes.c_int, p, p)

status, graph = tf.TF_NewStatus(), tf.TF_NewGraph()

def check():
    assert tf.TF_GetCode(status) == 0, tf.TF_Message(status)

def output(name):
    operation, _, index = name.partition(":")
    found = tf.TF_GraphOperationByName(graph, operation.encode())
    assert found, name
    return Output(found, int(index))

session = tf.TF_LoadSessionFromSavedModel(
    tf.TF_NewSessionOptions(), None, path.encode(),
    (ctypes.c_char_p * 1)(b"serve"), 1, graph, None, status)
check()
image = np.load(image)
shape = (ctypes.c_int64 * 4)(*image.shape)
uint8 = 4
tensor = tf.TF_AllocateTensor(uint8, shape, 4, image.nbytes)
ctypes.memmove(tf.TF_TensorData(tensor), image.tobytes(), image.nbytes)
names = json.loads(fetched)
results = (p * len(names))()
tf.TF_SessionRun(
    session, None, (Output * 1)(output(fed)), (p * 1)(tensor), 1,
    (Output * len(names))(*map(output, names.values())), results, len(names),
    None, 0, None, status)
check()
np.savez(where, **{
    name: np.frombuffer(
        ctypes.string_at(tf.TF_TensorData(result), tf.TF_TensorByteSize(result)),
        "bool" if name == "is_anomalous" else "float32")
    for name, result in zip(names, results)})
assert "tensorflow" not in sys.modules
"""


def test_the_c_library_that_serving_uses_runs_it(path, model, tmp_path):
    """With the operators of the core alone, and none that Python would bring."""
    (library,) = Path(tf.sysconfig.get_lib()).glob("libtensorflow_cc.so.2")
    file = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    signature = file.meta_graphs[0].signature_def["serving_default"]
    fetched = {name: info.name for name, info in signature.outputs.items()}
    images = random_images(2, 45, 70, seed=8)
    np.save(tmp_path / "image.npy", images)
    files = (tmp_path / "image.npy", signature.inputs["image"].name)
    subprocess.run(
        [
            *(sys.executable, "-c", CLIENT, library, path, *files),
            *(json.dumps(fetched), tmp_path / "outputs.npz"),
        ],
        env={**os.environ, "LD_LIBRARY_PATH": str(library.parent)},
        check=True,
    )
    expected = model.predict(images, verbose=0)
    with np.load(tmp_path / "outputs.npz") as found:
        assert set(found) == {"anomaly_map", "anomaly_score", "is_anomalous"}
        for name in found:
            np.testing.assert_allclose(
                found[name], expected[name].ravel(), rtol=1e-4, atol=1e-5
            )
