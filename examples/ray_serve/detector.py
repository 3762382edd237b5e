"""Serves an exported SavedModel with Ray Serve, which joins requests into batches.

    pip install "keras-rlr[serving]"
    RLR_MODEL=$PWD/serving/rlr/1 serve run detector:app
    curl --data-binary @image.jpg http://localhost:8000/

Answers with JSON: status (0 scored, 1 can't be decoded, 2 has too many pixels or bits,
3 has no finite score, 4 scored, but shows no product that the model knows) and, where
it is 0 or 4, anomaly_score and is_anomalous.
"""

import os

import tensorflow as tf
from ray import serve
from starlette.requests import Request


@serve.deployment
class Detector:
    """One copy of the model.

    Args:
        path: Folder of the SavedModel.
    """

    def __init__(self, path):
        self._run = tf.saved_model.load(path).signatures["serve_bytes"]

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)
    async def score(self, files):
        """Answers to requests that came at about the same time."""
        outputs = self._run(image_bytes=tf.constant(files))
        return [
            _answer({name: value[i].numpy() for name, value in outputs.items()})
            for i in range(len(files))
        ]

    async def __call__(self, request: Request):
        """The answer to an HTTP request whose body is an image file."""
        return await self.score(await request.body())


def _answer(output):
    answer = {"status": int(output["status"])}
    if answer["status"] in (0, 4):
        answer["anomaly_score"] = float(output["anomaly_score"])
        if "is_anomalous" in output:
            answer["is_anomalous"] = bool(output["is_anomalous"])
    return answer


app = Detector.bind(os.environ["RLR_MODEL"])
