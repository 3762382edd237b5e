"""Asks a model server for scores of image files, over gRPC.

    python client_grpc.py IMAGE [IMAGE ...] [--label candidate] [--server HOST:PORT]

Needs tensorflow-serving-api. Prints a line a file: its score, or why there is none.
"""

import argparse
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

# As many as config/batching.config joins.
MOST = 16
STATUS = {
    1: "can't be decoded",
    2: "has too many pixels, or more bits than the model takes",
    3: "has no finite score",
}
# Scored, but it shows no product that the model knows.
UNKNOWN = 4


def make_request(files, label=None):
    """The request for the score of some encoded images."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "rlr"
    request.model_spec.signature_name = "serve_bytes"
    if label:
        request.model_spec.version_label = label
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(files, tf.string))
    # Maps are most of an answer; leave them out where only scores are wanted.
    request.output_filter.extend(["anomaly_score", "status"])
    return request


def describe(score, status):
    """One line of an answer."""
    if status in STATUS:
        return STATUS[status]
    return f"{score:.4f}{'  no known product' if status == UNKNOWN else ''}"


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--label", help="stable or candidate; the newest without")
    parser.add_argument("--server", default="localhost:8500")
    chosen = parser.parse_args()
    with grpc.insecure_channel(chosen.server) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for start in range(0, len(chosen.images), MOST):
            paths = chosen.images[start : start + MOST]
            request = make_request([path.read_bytes() for path in paths], chosen.label)
            try:
                answer = service.Predict(request, timeout=60)
            except grpc.RpcError as error:
                raise SystemExit(f"{chosen.server}: {error.details()}") from None
            scores, statuses = (
                tf.make_ndarray(answer.outputs[name])
                for name in ("anomaly_score", "status")
            )
            for path, score, status in zip(paths, scores, statuses, strict=True):
                print(f"{path}: {describe(score, int(status))}")


if __name__ == "__main__":
    main()
