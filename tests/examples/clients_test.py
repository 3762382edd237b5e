"""The examples, run as they are, on an exported model.

TensorFlow Serving can't be installed with the tests. In its place stands a server that
speaks its two protocols and answers with the real model.
"""

import base64
import csv
import json
import math
import re
import runpy
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import MagicMock

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from tests.fresh_process import run_fresh
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, random_images, tiny_model

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]
EXAMPLES = Path(__file__).parents[2] / "examples"
IMAGES = 18  # one more than a request takes, with the broken one among them


@pytest.fixture(scope="module")
def model():
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20, seed=4), false_positive_rate=0.3)
    return model


@pytest.fixture(scope="module")
def saved_model(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "1"
    model.export(path)
    return path


@pytest.fixture(scope="module")
def images(model, tmp_path_factory):
    """A folder of images, the sixth of which is broken, and the model's answers."""
    folder = tmp_path_factory.mktemp("images")
    pixels = random_images(IMAGES, IMAGE_SIZE, IMAGE_SIZE, seed=5)
    for i, image in enumerate(pixels):
        below = folder / f"line {i % 2}"
        below.mkdir(exist_ok=True)
        Image.fromarray(image).save(below / f"{i:02}.png")
    (folder / "line 1" / "05.png").write_bytes(b"\x89PNG and no more")
    (folder / "notes.txt").write_text("not an image")
    outputs = model.predict(pixels, verbose=0)
    expected = {}
    for i in range(IMAGES):
        path = folder / f"line {i % 2}" / f"{i:02}.png"
        score, flag = outputs["anomaly_score"][i], outputs["is_anomalous"][i]
        expected[path] = None if i == 5 else (float(score), bool(flag))
    return folder, expected


@pytest.fixture(scope="module")
def server(saved_model):
    """Addresses for gRPC and REST, and the labels that were asked for."""
    run = tf.saved_model.load(str(saved_model)).signatures["serve_bytes"]
    labels = []

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == "rlr"
            assert request.model_spec.signature_name == "serve_bytes"
            labels.append(request.model_spec.version_label)
            files = tf.make_ndarray(request.inputs["image_bytes"])
            answer = predict_pb2.PredictResponse()
            for name, value in run(image_bytes=tf.constant(files)).items():
                if name in request.output_filter:
                    answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return answer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            size = int(self.headers["Content-Length"])
            request = json.loads(self.rfile.read(size))
            assert request["signature_name"] == "serve_bytes"
            labels.append(self.path)
            files = [
                base64.b64decode(instance["image_bytes"]["b64"])
                for instance in request["instances"]
            ]
            outputs = run(image_bytes=tf.constant(files))
            arrays = {name: value.numpy().tolist() for name, value in outputs.items()}
            rows = [
                {name: values[i] for name, values in arrays.items()}
                for i in range(len(files))
            ]
            body = json.dumps({"predictions": rows}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    of_grpc = grpc.server(ThreadPoolExecutor(2))
    service = Service()
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        service, of_grpc
    )
    port = of_grpc.add_insecure_port("127.0.0.1:0")
    of_grpc.start()
    of_rest = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=of_rest.serve_forever)
    thread.start()
    yield f"127.0.0.1:{port}", f"http://127.0.0.1:{of_rest.server_port}", labels
    of_rest.shutdown()
    thread.join()
    of_rest.server_close()
    of_grpc.stop(None).wait()


# As `python EXAMPLE ARGUMENTS`, where TensorFlow is imported already.
SCRIPT = """
import runpy, sys
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_example(name, *arguments, code=0):
    if "import tensorflow" in (EXAMPLES / name).read_text("utf-8"):
        words = (SCRIPT, EXAMPLES / name, *arguments)
        done = run_fresh(*words, backend="tensorflow", package="tensorflow")
    else:
        command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr[-2000:]
    return done.stdout


def scores_of_lines(text):
    """The words after the path in each line of a client's output."""
    lines = (line.rpartition(": ") for line in text.splitlines())
    return {Path(path): words.split() for path, _, words in lines}


def test_grpc(server, images):
    address, _, labels = server
    _, expected = images
    output = run_example(
        "tf_serving/client_grpc.py",
        *expected,
        *("--server", address, "--label", "candidate"),
    )
    found = scores_of_lines(output)
    assert set(found) == set(expected)
    assert labels[-2:] == ["candidate", "candidate"]
    for path, answer in expected.items():
        if answer is None:
            assert " ".join(found[path]) == "can't be decoded"
        else:
            assert float(found[path][0]) == pytest.approx(answer[0], abs=1e-4)


def test_rest(server, images):
    _, address, labels = server
    _, expected = images
    output = run_example("tf_serving/client_rest.py", *expected, "--url", address)
    found = scores_of_lines(output)
    assert set(found) == set(expected)
    assert labels[-2:] == ["/v1/models/rlr:predict"] * 2
    for path, answer in expected.items():
        if answer is None:
            assert " ".join(found[path]) == "can't be decoded"
        else:
            assert float(found[path][0]) == pytest.approx(answer[0], abs=1e-4)
            assert found[path][1] == ("anomalous" if answer[1] else "normal")


def test_no_server_is_said(images):
    path = next(iter(images[1]))
    for name, option in (("grpc", "--server"), ("rest", "--url")):
        nobody = "127.0.0.1:1" if name == "grpc" else "http://127.0.0.1:1"
        run_example(f"tf_serving/client_{name}.py", path, option, nobody, code=1)


def check_table(text, folder, expected):
    rows = {row["path"]: row for row in csv.DictReader(text.splitlines())}
    assert len(rows) == len(expected)
    for path, answer in expected.items():
        names = (str(path), path.relative_to(folder).as_posix())
        (row,) = (rows[name] for name in names if name in rows)
        if answer is None:
            assert row["error"] and not row["anomaly_score"]
        else:
            assert row["error"] == ""
            score = float(row["anomaly_score"])
            assert score == pytest.approx(answer[0], rel=1e-4)
            assert row["is_anomalous"].lower() == str(answer[1]).lower()


def test_a_folder_in_batches(saved_model, images, tmp_path):
    folder, expected = images
    table = tmp_path / "scores.csv"
    arguments = (saved_model, folder, "--output", table, "--batch", 7)
    run_example("batch_folder/score_folder.py", *arguments, code=1)
    check_table(table.read_text(), folder, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_a_folder_in_batches_refuses_what_is_no_model(images, tmp_path):
    run_example("batch_folder/score_folder.py", tmp_path, images[0], code=2)


class _Statuses(tf.Module):
    """Stands for an export of a model that recognises products: one file a status."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
    def serve_bytes(self, image_bytes):
        count = tf.size(image_bytes)
        score = tf.constant([0.5, math.nan, math.nan, math.nan, 2.5])
        return {
            "anomaly_score": score[:count],
            "is_anomalous": tf.range(count) > 0,
            "status": tf.range(count),
        }


def test_images_of_no_known_product_are_scored_by_all(tmp_path, monkeypatch, capsys):
    module, model = _Statuses(), tmp_path / "1"
    signatures = {"serve_bytes": module.serve_bytes}
    tf.saved_model.save(module, str(model), signatures)
    images = tmp_path / "images"
    images.mkdir()
    for i in range(5):
        (images / f"{i}.png").write_bytes(b"")
    table = tmp_path / "scores.csv"
    example = str(EXAMPLES / "batch_folder/score_folder.py")
    arguments = [model, images, "--output", table]
    monkeypatch.setattr(sys, "argv", [example, *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(example, run_name="__main__")
    assert ended.value.code == 1
    assert "1 images show no product" in capsys.readouterr().out
    rows = list(csv.reader(table.read_text().splitlines()))[1:]
    assert [bool(row[3]) for row in rows] == [False, True, True, True, False]
    assert rows[4] == ["4.png", "2.5", "true", ""]

    rest = runpy.run_path(str(EXAMPLES / "tf_serving/client_rest.py"))
    of_grpc = runpy.run_path(str(EXAMPLES / "tf_serving/client_grpc.py"))
    # Ray Serve itself need not be there.
    monkeypatch.setitem(sys.modules, "ray", MagicMock())
    monkeypatch.setitem(sys.modules, "starlette.requests", MagicMock())
    monkeypatch.setenv("RLR_MODEL", str(model))
    of_ray = runpy.run_path(str(EXAMPLES / "ray_serve/detector.py"))
    output = {"anomaly_score": 2.5, "is_anomalous": True, "status": 4}
    assert rest["describe"](output) == "2.5000  anomalous: no known product"
    assert of_grpc["describe"](2.5, 4) == "2.5000  no known product"
    assert of_ray["_answer"](output) == output


def test_litert_on_a_small_machine(model, images, tmp_path):
    folder, expected = images
    path = tmp_path / "edge.tflite"
    model.export(path, format="litert")
    output = run_example("litert/score_images.py", path, folder, "--threads", 1)
    check_table(output, folder, expected)
    # What the manifest says of images.
    file = tmp_path / "edge.tflite.manifest.json"
    manifest = json.loads(file.read_text())
    manifest["model"]["bit_depth"] = 12
    file.write_text(json.dumps(manifest))
    dim = np.arange(IMAGE_SIZE**2, dtype="uint16").reshape(IMAGE_SIZE, IMAGE_SIZE) * 3
    Image.fromarray(dim).save(tmp_path / "dim.png")
    output = run_example("litert/score_images.py", path, tmp_path / "dim.png")
    as_8_bits = np.repeat(dim[None, ..., None] * np.float32(255 / 4095), 3, axis=-1)
    expected = model.predict(as_8_bits, verbose=0)["anomaly_score"]
    (row,) = csv.DictReader(output.splitlines())
    assert float(row["anomaly_score"]) == pytest.approx(expected[0], rel=1e-4)
    file.write_text(json.dumps({**manifest, "tiling": {"rows": 17}}))
    run_example("litert/score_images.py", path, folder, code=2)


def test_the_servers_configuration():
    folder = EXAMPLES / "tf_serving"
    configurations = {
        name: re.sub("#.*", "", (folder / "config" / f"{name}.config").read_text())
        for name in ("models", "batching", "monitoring")
    }
    models = text_format.Parse(
        configurations["models"], model_server_config_pb2.ModelServerConfig()
    )
    (config,) = models.model_config_list.config
    assert config.name == "rlr" and config.base_path == "/models/rlr"
    served = config.model_version_policy.specific.versions
    assert set(config.version_labels.values()) == set(served)
    # The other two have their formats in TensorFlow Serving alone.
    sizes = re.findall(r"allowed_batch_sizes: (\d+)", configurations["batching"])
    sizes = [int(size) for size in sizes]
    assert sizes == sorted(set(sizes))
    assert f"max_batch_size {{ value: {sizes[-1]} }}" in configurations["batching"]
    for name in ("grpc", "rest"):
        code = (folder / f"client_{name}.py").read_text()
        assert f"MOST = {sizes[-1]}\n" in code
    (path,) = re.findall('path: "(.*)"', configurations["monitoring"])
    assert f"metrics_path: {path}\n" in (folder / "config/prometheus.yaml").read_text()
