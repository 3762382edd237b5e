"""Asks a model server for scores of image files, over REST.

    python client_rest.py IMAGE [IMAGE ...] [--label candidate] [--url http://HOST:PORT]

Needs nothing but Python. Prints a line a file: score, decision, or why there is none.
"""

import argparse
import base64
import json
import urllib.error
import urllib.request
from pathlib import Path

# As many as config/batching.config joins.
MOST = 16
STATUS = {
    1: "can't be decoded",
    2: "has too many pixels, or more bits than the model takes",
    3: "has no finite score",
}
# Scored, but it shows no product that the model knows.
UNKNOWN = 4


def predict(url, label, files):
    """Outputs of the server, a dict a file."""
    version = f"/labels/{label}" if label else ""
    body = {
        "signature_name": "serve_bytes",
        "instances": [
            {"image_bytes": {"b64": base64.b64encode(data).decode()}} for data in files
        ],
    }
    request = urllib.request.Request(
        f"{url}/v1/models/rlr{version}:predict",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["predictions"]
    except urllib.error.HTTPError as error:
        raise SystemExit(f"The server refused: {error.read().decode()}") from None
    except urllib.error.URLError as error:
        raise SystemExit(f"There is no server at {url}: {error.reason}") from None


def describe(output):
    """One line of an output."""
    if output["status"] in STATUS:
        return STATUS[output["status"]]
    decision = {True: "  anomalous", False: "  normal", None: ""}
    unknown = ": no known product" if output["status"] == UNKNOWN else ""
    flag = decision[output.get("is_anomalous")]
    return f"{output['anomaly_score']:.4f}{flag}{unknown}"


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--label", help="stable or candidate; the newest without")
    parser.add_argument("--url", default="http://localhost:8501")
    chosen = parser.parse_args()
    for start in range(0, len(chosen.images), MOST):
        paths = chosen.images[start : start + MOST]
        files = [path.read_bytes() for path in paths]
        outputs = predict(chosen.url, chosen.label, files)
        for path, output in zip(paths, outputs, strict=True):
            print(f"{path}: {describe(output)}")


if __name__ == "__main__":
    main()
