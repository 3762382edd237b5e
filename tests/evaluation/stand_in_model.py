"""A model whose output is known: the evaluation is what is tested here."""

import numpy as np


class StandInModel:
    """Takes an image's first channel, made of any size, for its anomaly map.

    Args:
        image_size: Side of the maps.
        threshold: As of an `RLR`.
    """

    def __init__(self, image_size, threshold=None):
        self.image_size = image_size
        self.threshold = threshold
        self.batches = []

    def predict(self, images, batch_size, verbose):
        self.batches.append(len(images))
        maps = np.stack([self._map(image) for image in images])
        output = {"anomaly_map": maps, "anomaly_score": maps.max((1, 2))}
        if self.threshold is not None:
            output["is_anomalous"] = output["anomaly_score"] >= self.threshold
        return output

    def _map(self, image):
        rows, columns = (
            np.linspace(0, side - 1, self.image_size).round().astype(int)
            for side in image.shape[:2]
        )
        return image[rows[:, None], columns, 0].astype("float32") / 100
