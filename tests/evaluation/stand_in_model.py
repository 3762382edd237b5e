"""A model whose output is known: the evaluation is what is tested here."""

import numpy as np

from keras_rlr.detectors.decision_thresholds import DecisionThresholds
from keras_rlr.inputs.images import to_resized_rgb


class StandInModel:
    """Takes an image's first channel, made of any size, for its anomaly map.

    Args:
        image_size: Side of the maps.
        threshold: As of an `RLR`.
        by_category: Dict of the thresholds of categories.
    """

    def __init__(self, image_size, threshold=None, by_category=()):
        self.image_size = image_size
        self.map_size = (image_size, image_size)
        self.threshold = threshold
        self.thresholds = DecisionThresholds()
        if threshold is not None:
            self.thresholds.threshold_weight.assign(threshold)
            self.thresholds._by_category = tuple(dict(by_category).items())
        self.batches = []

    def predict(self, images, batch_size, verbose):
        size = self.image_size
        return self.infer_resized([to_resized_rgb(x, size, "it") for x in images])

    def infer_resized(self, images):
        self.batches.append(len(images))
        maps = np.stack([self._map(image) for image in images])
        return {"anomaly_map": maps, "anomaly_score": maps.max((1, 2))}

    def _map(self, image):
        rows, columns = (
            np.linspace(0, side - 1, self.image_size).round().astype(int)
            for side in image.shape[:2]
        )
        return image[rows[:, None], columns, 0].astype("float32") / 100
